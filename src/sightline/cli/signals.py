"""Turn SIGTERM and SIGHUP into an exception, so that a command tidies up and says how to continue."""

from __future__ import annotations

import signal
from types import FrameType

from sightline.errors import Stopped


def end_on_signals() -> None:
    """Lets both signals raise `Stopped` in the main thread; a signal that is ignored, as under nohup, stays so."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)
