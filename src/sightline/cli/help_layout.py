"""Lay out help texts: up to 80 columns wide, in one column where the terminal is narrow."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import typer
from typer._click.formatting import HelpFormatter  # of the one minor version that pyproject.toml allows

WIDEST = 80
NARROWEST = 30
NARROW = 60  # below it two columns leave no room for the second


class HelpLayout(HelpFormatter):
    """Click's formatter, which never writes less than 50 columns, on terminals that have less."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        widest = min(shutil.get_terminal_size().columns, max_width or WIDEST)
        super().__init__(indent_increment, width or max(widest - 2, NARROWEST), max_width)

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, 4 if self.width < NARROW else col_max, col_spacing)


class LaidOut(typer.Context):
    """A context whose help is laid out so."""

    formatter_class = HelpLayout
