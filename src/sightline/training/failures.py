"""Explain in one line what ended a training step: a row, a disk, memory or a data worker."""

from __future__ import annotations

import re

import torch

from sightline.disks import told_disk
from sightline.errors import MachineError, SightlineError
from sightline.training.workers import NO_ROOM, found_no_room

# torch raises what a worker raised under the same class, and puts the worker's traceback into its message.
_OF_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\nOriginal Traceback", re.MULTILINE)
_DEAD_WORKER = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed by signal: (?P<signal>\w[\w ]*)"
    r"|exited unexpectedly(?: with exit code (?P<code>\d+))?)"
)


def told_failure(error: BaseException, where: str = "") -> BaseException:
    """The error to raise in place of what ended a step; those that nobody foresaw, and ends on purpose, as they are.

    Args:
        where: opens the message, `step 4: ` say.
    """
    text = _without_traceback(error)
    if isinstance(error, SightlineError):
        return type(error)(text) if text != str(error) else error
    disk = told_disk(error)
    if disk:
        return MachineError(where + disk)
    worker = _DEAD_WORKER.search(str(error))
    if worker is not None:
        return MachineError(where + _told_worker(worker["signal"] or "", worker["code"] or ""))
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return MachineError(
            f"{where}out of memory ({text.splitlines()[0] if text else 'nothing left'}). Lower "
            "per_device_train_batch_size and raise gradient_accumulation_steps, or set gradient_checkpointing to true."
        )
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return MachineError(f"{where}{place}{error.strerror or text}. Mend the path or the disk, then go on.")
    return error


def _told_worker(cause: str, code: str) -> str:
    if found_no_room() or code == str(NO_ROOM) or "Bus error" in cause:
        return (
            "a worker of the data loader found no room for a batch in /dev/shm. Give it more (docker run "
            "--shm-size 8g, or --ipc=host), or set dataloader_num_workers to 0."
        )
    how = f"was killed ({cause.strip()})" if cause else f"ended{f' with code {code}' if code else ''}"
    return f"a worker of the data loader {how}; too little memory may be why. Set fewer dataloader_num_workers, or 0."


def _without_traceback(error: BaseException) -> str:
    """The message, without what torch adds to that of a worker."""
    text = str(error)
    if not _OF_WORKER.search(text):
        return text
    name = f"{type(error).__module__}.{type(error).__qualname__}: "
    return text.rpartition(name)[2].strip() if name in text else text.strip().splitlines()[-1]
