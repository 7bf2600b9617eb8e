"""`sightline merge`: merge an adapter into its base."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def merge_command(
    adapter_folder: str = typer.Argument(
        metavar="ADAPTER", help="A run's folder with an adapter, one of its checkpoints, or a Hub id."
    ),
    out: Path = typer.Argument(help="Folder to write; it must be new or empty."),
    base: str | None = typer.Option(
        None, "--base", help="Folder or Hub id of the base model; by default the one that the adapter names."
    ),
    adapter: str | None = typer.Option(None, "--adapter", help="Name of the adapter, where a folder holds several."),
    dtype: str = typer.Option("auto", "--dtype", help="float32, bfloat16 or float16; auto keeps the base's."),
    max_shard_size: str | None = typer.Option(
        None, "--max_shard_size", help="Largest part of the weights, such as 5GB; by default as in the base."
    ),
) -> None:
    """Fold an adapter into its base: sightline merge ADAPTER OUT [--base MODEL]

    What comes out is an ordinary model folder with processor, chat template, generation settings and a card; it answers
    as base and adapter do, starts the next stage of training, and needs no PEFT. All is added up in float32 (4 bytes
    of memory for each weight), rounded once to the base's precision, and compared before the folder gets its name.
    """
    from sightline.models.merging import MergeSettings, merge_adapter

    merged = merge_adapter(MergeSettings(adapter_folder, out, base, adapter, dtype, max_shard_size))
    print(merged.summary, file=sys.stderr)
    print(out)
