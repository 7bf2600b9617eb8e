"""End data workers that cannot hand over a batch, so that the run does not wait for ever."""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import Any

from torch import _C as torch_c
from torch.utils.data import get_worker_info

NO_ROOM = errno.ENOSPC  # the exit code of a worker that found /dev/shm full
_TRIES, _PAUSE_S = 20, 0.05  # how long a death is waited for that a broken connection announced

_told = mmap.mmap(-1, 1)  # what a forked worker says of it, since torch does not always give the exit code
_usual = Queue._on_queue_feeder_error  # type: ignore[attr-defined]


def end_workers_that_fail() -> None:
    """From now on a worker ends whose batch found no room in shared memory, or could not be packed.

    The thread of Python's queue that hands batches over prints such an error and goes on (3.11 to 3.14), and torch
    waits for the batch as long as the worker lives (2.13).
    """
    Queue._on_queue_feeder_error = staticmethod(_end_worker)  # type: ignore[attr-defined]


def found_no_room() -> bool:
    """Whether a worker has ended for want of shared memory since this was asked last."""
    found, _told[0] = bool(_told[0]), 0
    return found


@contextmanager
def dead_workers_named() -> Iterator[None]:
    """Raises torch's error of a worker that died in place of what its death left in the connection to it.

    A batch is taken from the worker's own socket, which a kill closes a moment before the process counts as dead; so
    the connection's error can come first, and torch's own from a signal while that one is handled (2.13).

    Raises:
        RuntimeError: a worker died.
    """
    try:
        yield
    except (ConnectionError, EOFError, FileNotFoundError) as error:
        if getattr(error, "filename", None):  # a file of the user's, a picture say
            raise
        for _ in range(_TRIES):
            torch_c._error_if_any_worker_fails()
            time.sleep(_PAUSE_S)
        raise


def _end_worker(error: BaseException, item: Any) -> None:
    if get_worker_info() is None:
        _usual(error, item)
        return
    is_full = os.strerror(errno.ENOSPC) in str(error)
    _told[0] = is_full
    os._exit(NO_ROOM if is_full else 1)
