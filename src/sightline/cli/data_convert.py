"""`sightline data convert`: convert rows to another format."""

from __future__ import annotations

import typer

from sightline.cli.completion import one_of

TARGETS = ("trl-sft", "trl-dpo", "trl-kto", "llava", "parquet")


def convert_command(
    source: str = typer.Argument(help="A file, a folder or a Hub id, of any format in docs/formats.md."),
    out: str = typer.Argument(help="The new file: .jsonl for trl-*, .json for llava, .parquet."),
    to: str = typer.Option(
        ..., "--to", help="trl-sft, trl-dpo, trl-kto, llava or parquet.", autocompletion=one_of(*TARGETS)
    ),
    images: str = typer.Option("copy", "--images", help="copy pictures beside the file, or reference them."),
    split: str | None = typer.Option(None, "--split", help="Split of a folder or Hub id; train by default."),
    config: str | None = typer.Option(None, "--config", help="Configuration of a Hub dataset that has several."),
    image_folder: str | None = typer.Option(None, "--image_folder", help="Folder where relative picture paths start."),
    columns: str = typer.Option("", "--columns", help="Your column names: question=q,answer=a,image=img."),
    allow_urls: bool = typer.Option(False, "--allow_urls", help="Download pictures that rows name by https."),
    allow_outside: bool = typer.Option(
        False, "--allow_outside", help="Copy pictures from outside of the dataset's folder and --image_folder, too."
    ),
    skip_bad_rows: bool = typer.Option(False, "--skip_bad_rows", help="Leave out and count unusable rows."),
    json: bool = typer.Option(False, "--json", help="Print what was written as JSON on stdout."),
) -> None:
    """Write rows of any format as TRL's SFT, DPO or KTO rows, as LLaVA JSON, or as Parquet with pictures inside.

    The file appears whole or not at all. A row that the new format cannot express stops it, and is named. Only pictures
    that can be read are copied, from the dataset's folder or --image_folder.
    """
    from json import dumps
    from sys import stderr

    from sightline.data.formats.conversion import ConversionSettings, run_convert
    from sightline.data.pictures.columns import PictureAccess
    from sightline.data.sources.bad_rows import listed
    from sightline.data.sources.column_names import read_columns
    from sightline.progress import tracked
    from sightline.runs import plain_data

    names = read_columns(columns)
    access = PictureAccess(image_folder, allow_urls, skip_bad_rows=skip_bad_rows, columns=names)
    settings = ConversionSettings(source, out, to, images, split, config, access, allow_outside)
    result = run_convert(settings, lambda items, total, title: tracked(items, title, total))
    print(result.summary, file=stderr)
    if result.bad_rows:
        print(listed(list(result.bad_rows)), file=stderr)
    print(dumps(plain_data(result)) if json else result.path)
