"""What is said of a disk fits what is wrong with it."""

from __future__ import annotations

import errno
import os

import pytest

from sightline.disks import told_disk


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
