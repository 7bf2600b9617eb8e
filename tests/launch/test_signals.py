"""SIGTERM and Ctrl-C to a launcher of two processes: one checkpoint, one word on how to go on, and the same weights."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.launch.test_commands import ACCELERATE, TORCHRUN, arguments, data, launch, losses

__all__ = ["data"]  # a fixture

BOUND_S = 90
MORE = ["--max_steps", "40", "--save_steps", "10"]
CODES: dict[int, int] = {signal.SIGTERM: 143, signal.SIGINT: 130}
TRIALS = 20


def start(launcher: list[str], given: list[str], log: Path, root: Path) -> subprocess.Popen[bytes]:
    """The launcher as a shell starts it in a terminal: in a group of its own, with signals as they are by default."""

    def by_default() -> None:
        for number in CODES:
            signal.signal(number, signal.SIG_DFL)

    with open(log, "wb") as file:
        return subprocess.Popen(
            [*launcher, "-m", "sightline.cli.main", *given],
            cwd=root,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=by_default,
        )


def descendants(process: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return found


def send_to_all(process: int, number: int) -> None:
    """The signal to the launcher and to its processes, as `docker stop` of some kinds and Slurm send it."""
    for one in descendants(process):
        try:
            os.kill(one, number)
        except ProcessLookupError:
            continue


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + BOUND_S
    while not path.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)


def is_anyone_there(folder: Path) -> bool:
    """Whether a process was given the folder."""
    told = os.fsencode(folder)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if told in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def require_end(folder: Path, log: Path, number: int) -> None:
    """The run ended by the signal in all processes, left a checkpoint or nothing, and said so once; nobody is left."""
    text = log.read_text()
    told = text.count(f"Resume with --resume_from_checkpoint true --output_dir {folder}")
    nothing = text.count("holds no checkpoint: the same command starts again from step 0")
    assert told + nothing <= 1, text
    assert bool([*folder.glob("checkpoint-*")]) == bool(told), text
    assert text.count("exitcode  : ") == text.count(f"exitcode  : {CODES[number]} "), text
    assert not is_anyone_there(folder) and not [*folder.glob(".*partial")]


def require_same_end(folder: Path, whole: Path) -> None:
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert losses(folder) == losses(whole)


def resumed(folder: Path) -> list[str]:
    return ["--resume_from_checkpoint", "true"] if (folder / "begun.json").exists() else []


@pytest.fixture(scope="module")
def whole(data: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives runs that nobody interrupted, one of each verb."""
    folder = tmp_path_factory.mktemp("whole")

    def of(verb: str) -> Path:
        if not (folder / verb).exists():
            done = launch(TORCHRUN, ["sightline.cli.main"], [*arguments(verb, data, folder / verb, 2), *MORE], root)
            assert done.returncode == 0, done.stderr
        return folder / verb

    return of


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_launcher_leaves_one_checkpoint_that_is_resumed_to_the_same_weights(
    number: int, data: Path, whole: Callable[[str], Path], root: Path, tmp_path: Path
) -> None:
    folder, log = tmp_path / "run", tmp_path / "log"
    given = [*arguments("sft", data, folder, 2), *MORE]
    process = start(TORCHRUN, given, log, root)
    wait_for(folder / "metrics.jsonl", process)
    os.killpg(process.pid, number)
    assert process.wait(BOUND_S) == 1, log.read_text()
    require_end(folder, log, number)
    assert "Resume with" in log.read_text()
    if number == signal.SIGTERM:  # the checkpoint is written alike for both
        done = launch(TORCHRUN, ["sightline.cli.main"], [*given, *resumed(folder)], root)
        assert done.returncode == 0, done.stderr
        require_same_end(folder, whole("sft"))


@pytest.mark.soak
@pytest.mark.parametrize("verb", ["sft", "dpo"])
def test_signals_at_random_moments_end_all_processes_and_lose_nothing(
    verb: str, data: Path, whole: Callable[[str], Path], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = int(os.environ.get("SOAK_SEED") or time.time_ns() % 100_000)
    print(f"{verb}: SOAK_SEED={seed}")
    draws = random.Random(seed)
    began = time.monotonic()
    whole(verb)
    took_s = time.monotonic() - began
    kinds: list[tuple[list[str], int, Callable[[int, int], Any]]] = [
        (launcher, number, send)
        for launcher in (TORCHRUN, ACCELERATE)
        for number in CODES
        for send in (os.killpg, send_to_all)
    ]
    for trial in range(TRIALS):
        monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / f"cache {trial}"))
        launcher, number, send = kinds[trial % len(kinds)]
        folder, log = tmp_path / f"{trial}", tmp_path / f"{trial}.log"
        given = [*arguments(verb, data, folder, 2), *MORE]
        process = start(launcher, given, log, root)
        if trial % 3:  # in training, which is short beside the start
            wait_for(folder / ("begun.json", "metrics.jsonl")[trial % 2], process)
            time.sleep(draws.uniform(0, 0.2 * took_s))
        else:
            time.sleep(draws.uniform(0.1, 1) * took_s)
        send(process.pid, number)
        process.wait(BOUND_S)
        if not (folder / "model.safetensors").exists():
            require_end(folder, log, number)
            done = launch(launcher, ["sightline.cli.main"], [*given, *resumed(folder)], root)
            assert done.returncode == 0, done.stderr
        require_same_end(folder, whole(verb))
