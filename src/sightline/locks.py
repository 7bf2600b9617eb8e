"""A file lock for one process at a time, released when the process ends or is killed."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
