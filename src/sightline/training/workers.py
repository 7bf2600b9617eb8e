"""Workers of the data loader that cannot hand a batch over end, where they would leave the run to wait for ever."""

from __future__ import annotations

import errno
import os
from multiprocessing.queues import Queue
from typing import Any

from torch.utils.data import get_worker_info

NO_ROOM = errno.ENOSPC  # the exit code of a worker that found /dev/shm full

_usual = Queue._on_queue_feeder_error  # type: ignore[attr-defined]


def end_workers_that_fail() -> None:
    """From now on a worker ends whose batch found no room in shared memory, or could not be packed.

    The thread of Python's queue that hands batches over prints such an error and goes on (3.11 to 3.14), and torch
    waits for the batch as long as the worker lives (2.13).
    """
    Queue._on_queue_feeder_error = staticmethod(_end_worker)  # type: ignore[attr-defined]


def _end_worker(error: BaseException, item: Any) -> None:
    if get_worker_info() is None:
        _usual(error, item)
        return
    os._exit(NO_ROOM if os.strerror(errno.ENOSPC) in str(error) else 1)
