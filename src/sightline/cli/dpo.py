"""`sightline dpo`: align a VLM with preference pairs."""

from __future__ import annotations

import typer

from sightline.cli.training import train


def dpo_command(context: typer.Context) -> None:
    """Align a VLM with preference pairs: sightline dpo MODEL ROWS --output_dir runs/one

    Or with a recipe: sightline dpo mine.yaml --key value. Every flag and YAML key of `trl dpo` works.

    ROWS is a file, a folder or a Hub id of any format in docs/formats.md; in a recipe, `datasets` mixes several.
    `rejected` may hold several answers. loss_type may also be `mpo` or `mdpo`.

    To evaluate, set eval_strategy. The rows are those of eval_dataset_name, or the share test_split_size of the
    training rows, or the split dataset_test_split.
    """
    train(context.args, "dpo")
