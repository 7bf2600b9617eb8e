"""Standard output and error that never end a run: what cannot be written is dropped."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from sightline.errors import MachineError

# Nobody reads any more: a pipe, a terminal or a descriptor that is gone. Other errors, a full disk say, lose something.
READER_LEFT = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET})


class _LastingFile(io.FileIO):
    """A descriptor to write to that takes everything, and remembers the first error that it met."""

    lost: OSError | None = None

    def write(self, content: Any) -> int:
        """Writes what can be written, and says that all was: its callers would try again, or end."""
        view = memoryview(content).cast("B")
        done = 0
        while done < len(view):
            try:
                written = super().write(view[done:])
                if written is None:  # a pipe that does not wait, and is full
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                done += written
            except OSError as error:
                self.lost = self.lost or error
                break
        return len(view)


def keep_streams_open() -> None:
    """Puts streams that never raise in the places of `sys.stdout` and `sys.stderr`; call it once, at the start.

    So whoever writes there afterwards cannot end the run: prints, progress bars, handlers of logging, warnings. The
    number of a stream that the caller closed is taken, or the next file that is opened would be written on.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.__stdout__ = _lasting(sys.stdout, 1)  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = _lasting(sys.stderr, 2)  # type: ignore[misc, assignment]


def require_output() -> None:
    """Nothing when standard output holds all that was printed, or its reader left, who wanted no more.

    Raises:
        MachineError: part of it was lost, to a full disk say.
    """
    buffer = getattr(sys.stdout, "buffer", None)  # none where a notebook stands in for it
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, _LastingFile):
        return
    sys.stdout.flush()
    if raw.lost is not None and raw.lost.errno not in READER_LEFT:
        raise MachineError(
            f"standard output: {raw.lost.strerror}. What was printed is not whole: free space, or send it elsewhere."
        )


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    """A stream like the one that Python made for the descriptor, or like it would have made for an open one."""
    unbuffered = bool(getattr(stream, "write_through", False))
    errors = getattr(stream, "errors", None) or "backslashreplace"
    raw = _LastingFile(number, "wb", closefd=False)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        getattr(stream, "encoding", None) or "utf-8",
        "backslashreplace" if errors == "strict" else errors,
        line_buffering=number == 2 or raw.isatty(),
        write_through=unbuffered,
    )
