"""Damaged inputs drawn at random: every verb that reads ends with 0, 1 or 2 and a line, never in a traceback or never.

SIGHTLINE_FUZZ_SECONDS says how long (600), SIGHTLINE_FUZZ_SEED which ones; a failure prints the trial to do again.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from tests.cli.fuzz import change_flags, damage_file, draw_command, lay_out
from tests.cli.whole_inputs import whole_inputs

HANGS_S = 120
LONGEST_ERROR = 12_000


class HangError(BaseException):
    """A trial took longer than any input of its size may."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_inputs(tmp_path_factory.mktemp("whole") / "inputs")


@contextmanager
def watched() -> Iterator[None]:
    """Ends what hangs, and takes back what a recipe sets in the environment."""

    def ring(*_: Any) -> None:
        raise HangError

    before, environment = signal.signal(signal.SIGALRM, ring), dict(os.environ)
    signal.alarm(HANGS_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        os.environ.clear()
        os.environ.update(environment)


def trial(number: int, seed: int, whole: Path, folder: Path) -> str:
    """What is wrong with how one trial ended; empty where nothing is."""
    draw = random.Random(f"{seed} {number}")
    command, files = lay_out(draw_command(draw), whole, folder)
    ways = []
    for _ in range(draw.choice([1, 1, 1, 2])):
        there = [path for path in files if path.is_file() and not path.is_symlink()]
        if there and draw.random() < 0.9:
            path = draw.choice(there)
            ways.append(f"{path.name} {damage_file(path, draw, there)}")
    if not ways or draw.random() < 0.15:
        command = change_flags(command, draw)
    out, err = io.StringIO(), io.StringIO()
    told = f"seed {seed} trial {number}: {' '.join(command)[:600]} ({', '.join(ways)})"
    try:
        with chdir(folder), watched(), redirect_stdout(out), redirect_stderr(err):
            code = run(command)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = " < ".join(
            f"{Path(f.filename).name}:{f.lineno}" for f in reversed(traceback.extract_tb(error.__traceback__)[-4:])
        )
        return f"{told}: {type(error).__name__} {str(error)[:300]} at {where}"
    said = err.getvalue()
    is_right = code in (0, 1, 2) and "Traceback" not in said and len(said[said.find("error:") :]) < LONGEST_ERROR
    if is_right and (code != 2 or "rror" in said):
        return ""
    return f"{told}: exit code {code}, said {said[-600:]!r}"


@pytest.mark.soak
def test_no_damaged_input_ends_in_a_traceback_or_hangs(whole: Path, tmp_path: Path) -> None:
    seconds = float(os.environ.get("SIGHTLINE_FUZZ_SECONDS", "600"))
    seed = int(os.environ.get("SIGHTLINE_FUZZ_SEED", "0"))
    end, number = time.monotonic() + seconds, 0
    failures: list[str] = []
    while time.monotonic() < end and len(failures) < 10:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        failure = trial(number, seed, whole, folder)
        if failure:
            failures.append(failure)
        else:
            shutil.rmtree(folder)
    print(f"seed {seed}: {number} trials, {len(failures)} finds")
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
    assert number > seconds / 30, "trials take too long to find anything"
