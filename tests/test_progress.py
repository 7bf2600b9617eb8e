"""Progress leaves plain lines in a log, and keeps its numbers on a narrow terminal."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace

import pytest

from sightline import progress
from sightline.progress import new_bar, progress_bar, told_time, tracked


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by ten seconds whenever somebody looks at it."""
    times = iter(range(0, 10**6, 10))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: float(next(times))))


def test_a_log_gets_a_line_now_and_then_with_what_is_done_and_what_is_left(clock, capsys):
    assert list(tracked(range(12), "Checking rows", 12)) == list(range(12))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert lines[0] == "Checking rows: 2 of 12, 40 s so far, 3 min 20 s left"


def test_what_is_short_leaves_nothing_in_a_log(capsys):
    with progress_bar("Answering") as move:
        for done in range(100):
            move(done, 100)
    assert capsys.readouterr().err == ""


def test_a_bar_of_a_build_service_is_plain_lines_though_colours_are_forced(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not progress.shows_bars()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_bar_keeps_count_and_times_on_a_narrow_terminal(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = new_bar()
    bar.add_task("Answering without any of the pictures", total=12345, completed=678)
    bar.console.print(bar.make_tasks_table(bar.tasks))
    line = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).rstrip("\n")
    assert len(line) <= width and "\n" not in line
    assert re.search(r" 678/12345 0:00:00 -:--:--$", line), line
    assert line.startswith("Answ")


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (59.7, "1 min 0 s"), (75, "1 min 15 s"), (7384, "2 h 3 min")]
)
def test_times_have_two_units(seconds, told):
    assert told_time(seconds) == told
