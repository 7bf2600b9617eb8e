"""A worker of the data loader that dies is named, whichever way its death shows first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from torch import _C as torch_c

from sightline.training import workers


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A process that torch takes for a worker."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    torch_c._set_worker_pids(id(process), (process.pid,))
    yield process
    process.kill()
    process.wait()
    torch_c._remove_worker_pids(id(process))


@pytest.mark.parametrize("left", [ConnectionResetError(104, "reset by peer"), EOFError(), FileNotFoundError(2, "none")])
def test_a_connection_that_a_dying_worker_broke_is_told_as_its_death(
    left: Exception, worker: subprocess.Popen[bytes]
) -> None:
    told = rf"DataLoader worker \(pid {worker.pid}\) is killed by signal: Killed"
    with pytest.raises(RuntimeError, match=told), workers.dead_workers_named():
        os.kill(worker.pid, signal.SIGKILL)
        raise left


def test_errors_that_no_worker_caused_stay_what_they_are(
    worker: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PAUSE_S", 0)
    with pytest.raises(ConnectionResetError, match="of a server"), workers.dead_workers_named():
        raise ConnectionResetError("of a server")
    with pytest.raises(FileNotFoundError, match="a.png"), workers.dead_workers_named():
        os.kill(worker.pid, signal.SIGKILL)
        raise FileNotFoundError(2, "No such file", "a.png")
