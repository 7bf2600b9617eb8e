"""The rich console of all tables and bars, harmless to print on, and its tables, whose numbers never wrap."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table as RichTable
from rich.text import Text

from sightline.shown import is_plain, shown, under
from sightline.types import Table

FILE_WIDTH = 100_000  # columns: in a file or a pipe nothing wraps, whatever terminal or COLUMNS stands around it


def console_on(file: TextIO | None = None) -> Console:
    """A console that writes to `file`, by default stdout: as wide as the terminal, and in a file as what it prints.

    In a notebook it writes there, too: rich (15) would show its own blocks instead, whatever `file` is.
    """
    stream = under(file or sys.stdout)
    return _ShownConsole(file=stream, width=None if is_terminal(stream) else FILE_WIDTH, force_jupyter=False)


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody sits before the stream, which no variable of the environment changes."""
    return not stream.closed and stream.isatty()


class _ShownConsole(Console):
    """Overrides the one method through which whatever is printed, in tables and bars, too, becomes pieces of text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control or is_plain(segment.text) else Segment(shown(segment.text), segment.style)


NARROWEST_NAME = 12  # columns that a name or a text keeps; longer words go on in the next line
NARROWEST_FACT = 24  # columns that a fact keeps beside its name, or it goes on behind it
LONGEST_NUMBER = 24  # "+1,234.5 to +1,345.6" has 20
_GAP = 2  # columns between two, one of padding and one of the box
_NUMBER = re.compile(r"\W*\d")


def percent(share: float) -> str:
    """A share as text with one digit: `93.8%`."""
    return f"{100 * share:.1f}%"


def print_table(table: Table, file: TextIO | None = None) -> None:
    """Print a table, numbers to the right, a sum set apart; to stdout by default.

    Texts wrap until the table fits. Where its numbers alone are too wide, each row becomes a list.
    """
    console = console_on(file or sys.stdout)
    if table.title:
        console.print(Text(shown(table.title), style="bold"))
    columns = [_column(table, index) for index in range(len(table.header))]
    if _whole_width([column.least for column in columns]) <= console.width:
        console.print(_drawn(table, columns, console.width))
    else:
        _print_rows(table, console)
    if table.caption:
        console.print(Text(shown(table.caption), style="italic dim"))
    console.print()


def print_pairs(pairs: Iterable[tuple[str, str]], file: TextIO | None = None) -> None:
    """Print facts behind their names, one below the other; to stdout by default."""
    console, known = console_on(file or sys.stdout), [(shown(name), shown(fact)) for name, fact in pairs]
    widest = max((_width(name) for name, _ in known), default=0)
    if console.width - widest - _GAP < min(NARROWEST_FACT, max((_width(fact) for _, fact in known), default=0)):
        for name, fact in known:
            console.print(Text.assemble((name, "dim"), "  ", fact))
        return
    grid = RichTable.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in known:
        grid.add_row(Text(name), Text(fact))
    console.print(grid)


@dataclass(frozen=True)
class _Column:
    """A column and the fewest and the most columns of the terminal that it takes."""

    is_number: bool
    least: int
    whole: int


def _column(table: Table, index: int) -> _Column:
    cells, header = [shown(row[index]) for row in table.rows], shown(table.header[index])
    longest = max(map(_width, cells), default=0)
    is_number = index > 0 and longest <= LONGEST_NUMBER and any(map(_NUMBER.match, cells))
    if is_number:
        return _Column(True, max(longest, _longest_word([header])), max(longest, _width(header)))
    least = max(min(_longest_word(cells), NARROWEST_NAME), min(_longest_word([header]), NARROWEST_NAME), 1)
    return _Column(False, least, max(longest, _width(header), 1))


def _drawn(table: Table, columns: Sequence[_Column], room: int) -> RichTable:
    drawn = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index, (name, width) in enumerate(zip(table.header, _widths(columns, room), strict=True)):
        side = "right" if columns[index].is_number else "left"
        drawn.add_column(Text(shown(name)), justify=side, width=width, overflow="fold")  # type: ignore[arg-type]
    for index, row in enumerate(table.rows):
        if table.is_summed and index == len(table.rows) - 1 and index > 0:
            drawn.add_section()
        drawn.add_row(*(Text(shown(cell)) for cell in row))
    return drawn


def _widths(columns: Sequence[_Column], room: int) -> list[int]:
    """The width of each column, the widest losing first."""
    widths = [column.whole for column in columns]
    while _whole_width(widths) > room:
        widest = max(
            (index for index, column in enumerate(columns) if widths[index] > column.least), key=widths.__getitem__
        )
        widths[widest] -= 1
    return widths


def _print_rows(table: Table, console: Console) -> None:
    """Each row as a list: its first cell, then the others behind their names."""
    for first, *others in table.rows:
        console.print(Text(shown(first)))
        for name, cell in zip(table.header[1:], others, strict=True):
            if cell:
                console.print(Text.assemble("  ", (f"{shown(name)}  " if name else "", "dim"), shown(cell)))


def _whole_width(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _longest_word(texts: Sequence[str]) -> int:
    return max((cell_len(word) for text in texts for word in text.split()), default=0)
