"""What is said of a disk fits what is wrong with it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.disks import LockedError, locked, told_disk
from sightline.errors import MachineError, RunFolderError
from sightline.runs import RunFolder


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left on device. Free space there"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded. Free space there"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "No space left on"),
        (OSError(errno.ENOENT, "No such file or directory", "a"), ""),
        (
            FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"),
            "No usable temporary directory found",
        ),
        (ValueError("bad"), ""),
    ],
)
def test_a_disk_without_room_is_told_from_other_errors(error: Exception, said: str) -> None:
    assert told_disk(error).startswith(said) and bool(told_disk(error)) == bool(said)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EROFS, "Mount it for writing"),
        (errno.EIO, "The disk or its connection fails"),
        (errno.ESTALE, "mount it again"),
        (errno.EFBIG, "raise the limit"),
    ],
)
def test_a_disk_that_has_room_is_not_said_to_want_some(number: int, advice: str) -> None:
    said = told_disk(OSError(number, os.strerror(number), "/mnt/x"))
    assert said.startswith(f"/mnt/x: {os.strerror(number)}. ") and advice in said and "Free space" not in said
    assert advice in told_disk(RuntimeError(f"could not write: {os.strerror(number)} (os error {number})"))


HOLD = """
import sys, time
from pathlib import Path
from sightline.disks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_for_one_at_a_time_and_a_killed_process_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match=f"process {holder.pid} on "), locked(path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with locked(path):
        pass
    with locked(path):
        pass


FORKS = """
import os, sys, time
from pathlib import Path
from sightline.disks import locked
with locked(Path(sys.argv[1])):
    if not os.fork():
        print("held", flush=True)
    time.sleep(10)
"""


def test_a_worker_that_outlives_its_killed_parent_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    parent = subprocess.Popen([sys.executable, "-c", FORKS, str(path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "held\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with locked(path):
        pass


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", resume_by="--resume")
    run.require_idle()
    with run.held():
        for at_work in (run.require_idle, run.held().__enter__):
            with pytest.raises(RunFolderError, match="another run is at work there .* Wait for its end, or choose"):
                at_work()
        run.begin({"seed": 1})
    run.require_idle()


def test_a_full_disk_says_how_to_go_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", resume_by="--resume")
    with (
        pytest.raises(MachineError, match=r"^No space left on device\. .* answered is kept: go on by --resume\.$"),
        run.held(),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="Too many open files"), run.held():
        raise OSError(errno.EMFILE, "Too many open files")


def test_an_endpoint_that_gives_up_says_where_answers_are_and_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MachineError), RunFolder(tmp_path / "run", resume_by="--resume").held():
        raise MachineError("the endpoint is down")
    assert capsys.readouterr().err == f"What was answered is kept in {tmp_path / 'run'}: go on by --resume.\n"


def test_an_interruption_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "run", resume_by="--resume").held():
        raise KeyboardInterrupt
    assert capsys.readouterr().err == f"What was answered is kept in {tmp_path / 'run'}: go on by --resume.\n"
