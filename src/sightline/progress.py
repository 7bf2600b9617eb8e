"""Progress on stderr: a bar on a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from sightline.console import console_on, is_terminal
from sightline.shown import shown, under

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_MOVES = 0.05

Item = TypeVar("Item")


_doing: list[str] = []  # what this process is at, the innermost last


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Says in a log that is silent for a while what is done meanwhile, where nobody can tell how far it is."""
    _doing.append(what)
    try:
        yield
    finally:
        _doing.remove(what)


def what_is_done() -> str:
    """What this process is at, as `doing` was told; empty where it was not."""
    return next(iter(_doing[::-1]), "")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how far something is, by calling what it gives with (done, all)."""
    if not shows_bars():
        with doing(title):
            yield ProgressLines(title).move
        return
    with new_bar() as bar:
        task, moved = bar.add_task(title, total=None), 0.0

        def move(done: int, total: int) -> None:
            nonlocal moved
            now = time.monotonic()
            if now - moved >= SECONDS_BETWEEN_MOVES or done == total:
                bar.update(task, completed=done, total=total)
                moved = now

        yield move


def tracked(items: Iterable[Item], title: str, total: int, is_shown: bool = True) -> Iterator[Item]:
    """The items, and how many of `total` are done."""
    if not is_shown:
        yield from items
        return
    with progress_bar(title) as move:
        for done, item in enumerate(items):
            move(done, total)
            yield item


def shows_bars() -> bool:
    """Whether stderr is a terminal that can move its cursor."""
    return is_terminal(under(sys.stderr)) and not console_on(sys.stderr).is_dumb_terminal


def new_bar() -> Progress:
    """A bar of one line on stderr, whose title and bar give way where it is narrow, and its numbers do not."""
    whole = Column(no_wrap=True)
    return Progress(
        _Title(),
        BarColumn(bar_width=None, table_column=Column(max_width=40)),
        MofNCompleteColumn(table_column=whole),
        TimeElapsedColumn(table_column=whole),
        TimeRemainingColumn(table_column=whole),
        console=console_on(sys.stderr),
        transient=True,
    )


class _Title(ProgressColumn):
    """What is done, in one line that is shortened where there is no room."""

    def render(self, task: Task) -> Text:
        return Text(shown(task.description), style="bold", no_wrap=True, overflow="ellipsis")


class ProgressLines:
    """Plain lines on stderr: how many are done, how long it took, how long it will take."""

    def __init__(self, title: str, done: int = 0) -> None:
        self._title, self._first = title, done
        self._start = self._last = time.monotonic()

    def move(self, done: int, total: int) -> None:
        """A line, where the last one was written some time ago."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self.write(f"{done:,} of {total:,}", done, total)

    def write(self, text: str, done: int, total: int) -> None:
        """A line with `text` in it, now."""
        self._last = time.monotonic()
        seconds, new = self._last - self._start, done - self._first
        left = f", {told_time(seconds / new * (total - done))} left" if new > 0 and done < total else ""
        print(f"{self._title}: {text}, {told_time(seconds)} so far{left}", file=sys.stderr, flush=True)


def told_time(seconds: float) -> str:
    """A time in its two largest units.

    >>> told_time(3723)
    '1 h 2 min'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
