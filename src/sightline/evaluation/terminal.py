"""Tables and progress of evaluations on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

from sightline.evaluation.outcome import RunResult, category_table, outcome_table, to_json
from sightline.runs import plain_data
from sightline.types import Table


def print_table(table: Table, file: TextIO | None = None) -> None:
    """Print a table, numbers to the right, a last row that sums up set apart; to stdout by default."""
    drawn = RichTable(title=Text(table.title), caption=Text(table.caption), header_style="bold", title_justify="left")
    drawn.caption_justify = "left"
    for index, name in enumerate(table.header):
        drawn.add_column(Text(name), justify="left" if index == 0 else "right")
    for index, row in enumerate(table.rows):
        if table.is_summed and index == len(table.rows) - 1 and index > 0:
            drawn.add_section()
        drawn.add_row(*(Text(cell) for cell in row))
    Console(file=file or sys.stdout).print(drawn)


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr that is moved by calling it with (done, all); it vanishes where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_run(result: RunResult, as_json: bool) -> None:
    """A run's tables on stdout; or its JSON there, and the tables on stderr."""
    file = sys.stderr if as_json else sys.stdout
    print_table(outcome_table(result), file)
    for outcome in result.tasks.values():
        if outcome.scores.categories:
            print_table(category_table(outcome), file)
    if as_json:
        print(json.dumps(plain_data(to_json(result)), ensure_ascii=False, indent=2))
