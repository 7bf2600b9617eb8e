"""`sightline data check`: find what is wrong with a dataset before training."""

from __future__ import annotations

from pathlib import Path

import typer


def check_command(
    source: str = typer.Argument(metavar="SOURCE", help="A file, a folder or a Hub id."),
    evals: list[str] = typer.Option([], "--eval", help="Evaluation data that must not be in it; may be repeated."),
    split: str | None = typer.Option(None, "--split", help="Split of SOURCE, where it has several."),
    eval_split: str | None = typer.Option(None, "--eval_split", help="Split of the evaluation data."),
    config: str | None = typer.Option(None, "--config", help="Configuration of a Hub dataset that has several."),
    image_folder: str | None = typer.Option(None, "--image_folder", help="Folder where relative picture paths start."),
    columns: str = typer.Option("", "--columns", help="Your column names: question=q,answer=a,image=img."),
    eval_columns: str = typer.Option("", "--eval_columns", help="The same for the evaluation data."),
    allow_urls: bool = typer.Option(False, "--allow_urls", help="Download pictures that rows name by https."),
    limit: int | None = typer.Option(None, "--limit", help="Use only the first N rows of each."),
    max_pixels: int | None = typer.Option(
        None, "--max_pixels", help="Refuse larger pictures; default: the limit of training, 89,478,485."
    ),
    output_dir: Path | None = typer.Option(None, "--output_dir", help="Folder for check.json and report.html."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout, and the tables on stderr."),
) -> None:
    """What is in a dataset, and what is wrong with it, before it trains.

    Pictures that are missing, broken, too large or odd; rows that are empty, double or at odds; what of --eval is in
    SOURCE: the same pictures, resized or compressed copies, the same questions. Exit code 1 where errors were found.
    """
    from sightline.data.pictures.columns import PictureAccess
    from sightline.data.sources.column_names import read_columns
    from sightline.inspection.check import CheckConfig, run_check
    from sightline.inspection.terminal import print_check
    from sightline.progress import progress_bar

    pictures = PictureAccess(image_folder, allow_urls, keep_missing=True, columns=read_columns(columns))
    named = read_columns(eval_columns, "--eval_columns")
    settings = CheckConfig(
        source, tuple(evals), split, eval_split, config, pictures, limit, max_pixels, output_dir, named
    )
    with progress_bar("Checking rows") as progress:
        check = run_check(settings, progress)
    print_check(check, json, output_dir)
    if not check.is_clean:
        raise typer.Exit(1)
