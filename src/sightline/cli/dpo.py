"""`sightline dpo`: align a VLM with preference pairs."""

from __future__ import annotations

import sys

import typer


def dpo_command(context: typer.Context) -> None:
    """Align a VLM with preference pairs: --config RECIPE --key value ...

    Every flag and YAML key of `trl dpo` works, and so do `share`, `feature_store`, `reference_store` and
    `length_policy`. dataset_name may be a JSONL, JSON, CSV or Parquet file, a folder or a Hub id.
    """
    from sightline.training.arguments import read_settings
    from sightline.training.dpo import DPOConfig
    from sightline.training.run import run_dpo

    result = run_dpo(read_settings(context.args, DPOConfig))
    print(result.summary, file=sys.stderr)
    print(result.folder)
