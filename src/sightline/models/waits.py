"""What a client says while it waits: the first trouble at once, the next ones now and then, never nothing for long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

QUIET_S = 10.0  # after a line about waiting none follows for so long: eight requests wait for one reason
SILENCE_S = 60.0  # without any reply after which it is said that one is waited for


def say_on_stderr(text: str) -> None:
    """A line where progress goes."""
    print(text, file=sys.stderr)


class Voice:
    """Says what is worth saying once, and what is said again only after a while."""

    def __init__(self, say: Callable[[str], None] = say_on_stderr) -> None:
        self._say = say
        self._said: set[str] = set()
        self._quiet_until = 0.0

    def once(self, text: str) -> None:
        """A line that a run reads once."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def now_and_then(self, text: str) -> None:
        """A line that may be left out where one was said just before."""
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_S
            self._say(text)
