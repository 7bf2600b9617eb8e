"""`sightline models`: write a checkpoint in the layout of its authors anew as an ordinary folder."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from sightline.cli.settings_help import one_of
from sightline.errors import ConfigError

PRECISIONS = ("auto", "float32", "float16", "bfloat16")


def convert_command(
    model: str = typer.Argument(help="Folder or Hub id in a layout of its authors (docs/models.md)."),
    out: Path = typer.Argument(help="Folder to write; new or empty, or left by an interrupted conversion."),
    dtype: str = typer.Option(
        "auto", "--dtype", help="float32, float16 or bfloat16; as stored.", autocompletion=one_of(*PRECISIONS)
    ),
    model_revision: str | None = typer.Option(None, "--model_revision", help="Branch, tag or commit of the Hub id."),
    tokenizer: str | None = typer.Option(
        None, "--tokenizer", help="Folder of a tokenizer, for a checkpoint that carries none."
    ),
    json: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Write a checkpoint as safetensors in the layout that its class loads directly: MODEL OUT.

    With processor, chat template, generation settings and licence files. A few gigabytes are in memory at a time; a
    conversion that was interrupted goes on where the same command is given again.
    """
    from json import dumps

    import torch

    from sightline.models.published.converting import ConvertSettings, convert_checkpoint
    from sightline.runs import plain_data

    if dtype not in PRECISIONS:
        raise ConfigError(f"dtype: expected {', '.join(PRECISIONS)}; got '{dtype}'.")
    precision = None if dtype == "auto" else getattr(torch, dtype)
    written = convert_checkpoint(ConvertSettings(model, out, precision, model_revision, tokenizer))
    kept = f", {written.kept} of them kept from before" if written.kept else ""
    print(
        f"{written.tensors} tensors, {written.size / 1e9:.2f} GB in {written.shards} files{kept}.",
        file=sys.stderr,
    )
    print(dumps(plain_data(written)) if json else out)
