"""Clean what a command prints on both streams: no secrets, no control characters."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from sightline.secrets import redact, without_known
from sightline.shown import ShownStream, under


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
