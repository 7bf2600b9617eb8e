"""A command in a log is never silent for long: a line says what it is at where nothing else is said."""

from __future__ import annotations

import sys
import time

import pytest

from sightline import progress
from sightline.cli.heartbeat import heartbeat
from sightline.cli.output import safe_output
from sightline.progress import doing, what_is_done


def test_a_silent_command_says_what_it_is_at(capsys: pytest.CaptureFixture[str]) -> None:
    with safe_output(), heartbeat(0.05):
        time.sleep(0.2)
        with doing("Reading rows"), doing("Loading nano"):
            time.sleep(0.2)
        with doing("Reading rows"):
            time.sleep(0.2)
    told = [line.rpartition(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert {"Working", "Loading nano", "Reading rows"} == set(told)
    time.sleep(0.1)
    assert capsys.readouterr().err == "" and what_is_done() == ""


def test_a_command_that_speaks_is_left_to_speak(capsys: pytest.CaptureFixture[str]) -> None:
    with safe_output(), heartbeat(0.2):
        for step in range(8):
            print(f"step {step}", file=sys.stderr)
            time.sleep(0.05)
    assert capsys.readouterr().err == "".join(f"step {step}\n" for step in range(8))


def test_a_terminal_shows_bars_and_no_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "shows_bars", lambda: True)
    with safe_output(), heartbeat(0.02):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
