"""Standard output and error: they never end a run, show no secrets, and are never silent for long."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from sightline.errors import MachineError
from sightline.secrets import redact, without_known
from sightline.shown import ShownStream, under

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


@contextmanager
def safe_output() -> Iterator[None]:
    """While it is open, what is printed passes here: data without known secrets, messages without anything like one."""
    before = sys.stdout, sys.stderr
    make_output_safe()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def make_output_safe() -> None:
    """The same to the end of the process, for what the interpreter itself says of an exception.

    Messages are shown, never sent as they are; so is data where stdout is a terminal, and else it stays what it is.
    """
    if isinstance(under(sys.stdout), SafeStream):
        return
    data, messages = SafeStream(sys.stdout, without_known), SafeStream(sys.stderr, redact)
    sys.stdout = cast(TextIO, ShownStream(cast(TextIO, data)) if sys.stdout.isatty() else data)
    sys.stderr = cast(TextIO, ShownStream(cast(TextIO, messages)))


class SafeStream:
    """A stream of text that `clean` goes over first; in all else the stream itself.

    Attributes:
        last: when something was written last, by the monotonic clock.
    """

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self._stream, self._clean = stream, clean
        self.last = time.monotonic()

    def write(self, text: str) -> int:
        self.last = time.monotonic()
        self._stream.write(self._clean(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


SILENT_S = 35.0  # a line of progress is due after 30, and comes first


@contextmanager
def heartbeat(between: float = SILENT_S) -> Iterator[None]:
    """While it is open, no `between` seconds pass without a line in a log; nothing on a terminal, which shows bars."""
    messages = under(sys.stderr)
    if not isinstance(messages, SafeStream):
        yield
        return
    start, ended = time.monotonic(), threading.Event()

    def beat() -> None:
        while not ended.wait(max(messages.last + between - time.monotonic(), between / 10)):
            from sightline.progress import shows_bars, told_time, what_is_done  # imports rich, which help must not

            if shows_bars():
                return
            if time.monotonic() - messages.last >= between:
                done = what_is_done() or "Working"
                sys.stderr.write(f"{done}, {told_time(time.monotonic() - start)} so far\n")
                sys.stderr.flush()

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
