"""A line on stderr when a command that writes no terminal has said nothing for a while: what it is at, and how long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sightline.cli.output import SafeStream
from sightline.shown import under

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
