"""`sightline sft`: fine-tune a VLM on demonstrations."""

from __future__ import annotations

import typer

from sightline.cli.training import train


def sft_command(context: typer.Context) -> None:
    """Fine-tune a VLM on demonstrations: sightline sft MODEL ROWS --output_dir runs/one

    Or with a recipe: sightline sft mine.yaml --key value. Every flag and YAML key of `trl sft` works.

    ROWS is a file, a folder or a Hub id of any format in docs/formats.md; in a recipe, `datasets` mixes several.

    To evaluate, set eval_strategy. The rows are those of eval_dataset_name, or the share test_split_size of the
    training rows, or the split dataset_test_split.
    """
    train(context.args, "sft")
