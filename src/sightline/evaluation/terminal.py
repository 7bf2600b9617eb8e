"""Tables and progress of evaluations on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

from sightline.console import console_on
from sightline.evaluation.comparison.run import RunComparison, to_json as comparison_json
from sightline.evaluation.comparison.tables import (
    CHECK_HEADER,
    category_changes,
    change_table,
    check_rows,
    evidence_table,
    flip_table,
)
from sightline.evaluation.outcome import RunResult, category_table, outcome_table, to_json
from sightline.evaluation.results import percent
from sightline.runs import plain_data
from sightline.shown import shown
from sightline.types import Table


def print_table(table: Table, file: TextIO | None = None) -> None:
    """Print a table, numbers to the right, a sum set apart; to stdout by default."""
    drawn = RichTable(
        title=Text(shown(table.title), style="bold"),
        caption=Text(shown(table.caption)),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for index, name in enumerate(table.header):
        drawn.add_column(Text(shown(name)), justify="left" if index == 0 else "right")
    for index, row in enumerate(table.rows):
        if table.is_summed and index == len(table.rows) - 1 and index > 0:
            drawn.add_section()
        drawn.add_row(*(Text(shown(cell)) for cell in row))
    console = console_on(file or sys.stdout)
    console.print(drawn)
    console.print()


def print_listing(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...], file: TextIO) -> None:
    """Print a table of words, whose cells wrap."""
    drawn = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(header):
        drawn.add_column(Text(shown(name)), no_wrap=index < len(header) - 1)
    for row in rows:
        drawn.add_row(*(Text(shown(cell)) for cell in row))
    console_on(file).print(drawn)


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
    console = console_on(sys.stderr)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_run(result: RunResult, as_json: bool, folder: Path | None = None) -> None:
    """A run's tables on stdout; or its JSON there, and the tables on stderr, where its `folder` is named, too."""
    file = sys.stderr if as_json else sys.stdout
    print_table(outcome_table(result), file)
    for outcome in result.tasks.values():
        if len(outcome.scores.categories) > 1:
            print_table(category_table(outcome), file)
    for name, outcome in result.tasks.items():
        for note in outcome.data["notes"]:
            print(f"{name}: {note}", file=sys.stderr)
        if (majority := outcome.scores.majority) is not None:
            always = f"always answering '{majority.answer:.40}' would score {percent(majority.value)}"
            print(f"{name}: {always}, whatever is shown.", file=sys.stderr)
        if outcome.doubts:
            print(f"{name}: not verified as the whole benchmark: {'; '.join(outcome.doubts)}.", file=sys.stderr)
    if as_json:
        print(json.dumps(plain_data(to_json(result)), ensure_ascii=False, indent=2))
    if folder is not None:
        print(f"Results, samples and report: {folder}", file=sys.stderr)


def print_comparison(comparison: RunComparison, as_json: bool) -> None:
    """A comparison's tables on stdout; or its JSON there, and the tables on stderr."""
    file = sys.stderr if as_json else sys.stdout
    print_table(change_table(comparison), file)
    print_table(evidence_table(comparison), file)
    for change in comparison.tasks.values():
        if len(change.categories) > 1:
            print_table(category_changes(change), file)
        if change.samples.improved or change.samples.worsened:
            print_table(flip_table(change), file)
    print("Reproduction check", file=file)
    print_listing(CHECK_HEADER, check_rows(comparison.reproduction), file)
    sign = "Warning: " if comparison.reproduction.is_warning else ""
    console_on(file).print(Text(f"\n{sign}{comparison.reproduction.conclusion}", style="bold"))
    if as_json:
        print(json.dumps(plain_data(comparison_json(comparison)), ensure_ascii=False, indent=2))
