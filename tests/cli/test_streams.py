"""What is shown never ends a command: readers that leave, full disks, closed descriptors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline import progress
from sightline.cli.streams import heartbeat, safe_output
from sightline.progress import doing, what_is_done

SHOWS = """
import logging, sys, warnings
from sightline.cli.streams import keep_streams_open, require_output
from sightline.errors import MachineError
keep_streams_open()
from rich.console import Console
from rich.progress import Progress
logging.basicConfig(level="INFO")
with Progress(console=Console(file=sys.stderr, force_terminal=True), refresh_per_second=50) as progress:
    task = progress.add_task("Training", total=300)
    for step in range(300):
        progress.update(task, completed=step)
        logging.info("step %d", step)
        warnings.warn(f"step {step}")
        print("x" * 500, file=sys.stderr)
for _ in range(300):
    print("y" * 500)
open(sys.argv[1], "w").write("trained")
try:
    require_output()
except MachineError as error:
    open(sys.argv[1], "a").write(f", {error}")
"""


def shown(tmp_path: Path, redirection: str, *flags: str) -> str:
    """What the script left in its file; it must end by itself, and well."""
    line = f'"{sys.executable}" {" ".join(flags)} -c "$SCRIPT" "{tmp_path / "end"}" {redirection}'
    environment = {**os.environ, "SCRIPT": SHOWS}
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], env=environment, timeout=60, check=False)
    assert done.returncode == 0
    return (tmp_path / "end").read_text()


@pytest.mark.parametrize(
    "redirection",
    ["2>&1 | head -1 >/dev/null", "2>/dev/full >/dev/null", ">&- 2>&-", ">&- 2>&- <&-", "2>&1 </dev/null | true"],
)
def test_a_reader_that_leaves_ends_nothing(redirection: str, tmp_path: Path) -> None:
    assert shown(tmp_path, redirection) == "trained"


def test_streams_without_a_buffer_and_terminals_that_go_end_nothing(tmp_path: Path) -> None:
    assert shown(tmp_path, "2>&1 | head -c 10 >/dev/null", "-u") == "trained"
    master, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SHOWS, str(tmp_path / "terminal")],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        os.read(master, 100)
        os.close(master)
        assert process.wait(60) == 0
    assert (tmp_path / "terminal").read_text() == "trained"


def test_output_that_a_full_disk_lost_is_said(tmp_path: Path) -> None:
    end = shown(tmp_path, ">/dev/full 2>/dev/null")
    assert end.startswith("trained, standard output: No space left on device. What was printed is not whole")


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
