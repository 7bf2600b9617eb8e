"""`sightline data preview`: show what a model will see of rows, in the terminal and as a page."""

from __future__ import annotations

import typer


def preview_command(
    context: typer.Context,
    source: str | None = typer.Argument(None, help="Rows: a file, a folder or a Hub id; by default the recipe's."),
    model: str | None = typer.Option(None, "--model", help="Model folder or Hub id; by default the recipe's, or nano."),
    config: str | None = typer.Option(None, "--config", help="Recipe of sft or dpo: its data, model and settings."),
    rows: str | None = typer.Option(None, "--rows", help="Rows to show, counted from 0: 0,5,7."),
    limit: int = typer.Option(3, "--limit", min=1, help="Without --rows: show the first N rows."),
    batch_size: int | None = typer.Option(None, "--batch_size", min=1, help="Rows in the batch that is drawn."),
    method: str | None = typer.Option(None, "--for", help="sft or dpo, if settings and columns do not tell."),
    output_path: str | None = typer.Option(None, "--output_path", help="Write the preview as an HTML page, too."),
) -> None:
    """Show what a model will see: sightline data preview ROWS --model MODEL [--config RECIPE] [--key value ...]

    The rendered text, its tokens coloured by trained, read and image; each picture as the processor cuts it; where
    max_length falls and what length_policy does; a batch as a forest, with the tokens that sharing saves. Every key of
    sft and dpo works: --max_length 512 --assistant_only_loss true. Exit code 1 where a shown row cannot be used.
    """
    import sys

    from sightline.config import RECIPES
    from sightline.settings.early import check_early

    if source is not None and source.endswith(RECIPES) and config is None:
        config, source = source, None
    argv = ["--config", config] if config is not None else []
    if source is not None and source.startswith("--"):  # a key, where no rows are named
        argv, source = [*argv, source], None
    argv += context.args
    numbers = read_numbers(rows)
    check_early(argv, *((method,) if method in ("sft", "dpo") else ("sft", "dpo")), writes=False)
    from sightline.inspection.preview import Asked, preview_data
    from sightline.inspection.preview_page import write_page
    from sightline.inspection.terminal import print_preview

    preview = preview_data(Asked(source, model, tuple(argv), method, numbers, limit, batch_size))
    print_preview(preview)
    if output_path is not None:
        print(write_page(preview, output_path), file=sys.stderr)
    if any(row.error for row in preview.rows):
        raise typer.Exit(1)


def read_numbers(given: str | None) -> tuple[int, ...] | None:
    """Row numbers separated by commas; None where nothing is given."""
    from sightline.errors import ConfigError

    if given is None:
        return None
    try:
        return tuple(int(number) for number in given.split(","))
    except ValueError:
        raise ConfigError(f"rows: expected numbers separated by commas, such as 0,5,7; got '{given}'.") from None
