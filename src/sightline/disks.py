"""Files and disks: locks of one process at a time, and messages for disks that are full, read-only or broken."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOM = "Free space there, or name another place."
# Windows lacks some of these errors.
_ADVICE = {
    getattr(errno, name, 0): advice
    for name, advice in {
        "ENOSPC": _ROOM,
        "EDQUOT": _ROOM,
        "EFBIG": "A file may not be so large there: raise the limit (ulimit -f), or name another file system.",
        "EROFS": "Mount it for writing, or name another place; a disk that fails becomes so (dmesg shows it).",
        "EIO": "The disk or its connection fails: look at it (dmesg), or name a place on another one.",
        "ESTALE": "The network folder was taken away or changed on its server: mount it again, or name another place.",
    }.items()
}
_ADVICE.pop(0, None)
_NO_TEMPORARY = "No usable temporary directory"  # Python's words, without a class or a number of their own


def told_disk(error: BaseException) -> str:
    """What to say of an error that means a disk without room, one that fails, or none for temporary files; else ''."""
    if _NO_TEMPORARY in str(error):
        return f"{getattr(error, 'strerror', None) or error}. Name a folder that can be written by TMPDIR."
    number = getattr(error, "errno", None)
    if number not in _ADVICE:
        told = str(error)  # libraries written in other languages keep the words alone
        number = next((one for one in _ADVICE if os.strerror(one) in told), None)
    if number is None:
        return ""
    place = f"{place}: " if (place := getattr(error, "filename", None)) else ""
    return f"{place}{os.strerror(number)}. {_ADVICE[number]}"


_KNOWN_TO_NONE = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL})

_held: set[int] = set()  # descriptors


class LockedError(Exception):
    """Somebody else holds the file; says who, where that is known."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The file, made where it is missing, as ours alone while the context lasts.

    Windows, and file systems that know no locks, let everybody in.

    Raises:
        LockedError: somebody else holds it.
    """
    with open(path, "a+", encoding="utf-8", errors="replace") as file:
        if not take(file.fileno()):
            file.seek(0)
            raise LockedError(file.read(200).strip() or "not known which")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        _held.add(file.fileno())
        try:
            yield
        finally:
            _held.discard(file.fileno())


def take(descriptor: int) -> bool:
    """Whether nobody else holds an open file; nobody waits."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _KNOWN_TO_NONE:
            return True
        raise
    return True


def _let_go() -> None:
    """Lets go in a process that was forked, a worker say, which would hold the files after its parent was killed."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in _held:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    _held.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_let_go)
