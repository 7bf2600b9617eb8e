"""The stages of a demo, each announced on stderr and timed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sightline.console import console_on


@dataclass(frozen=True)
class Stage:
    """A part of the demo and its wall-clock time."""

    name: str
    seconds: float


class Stages:
    """Remembers how long each stage took."""

    def __init__(self) -> None:
        self.done: list[Stage] = []
        self._console = console_on(sys.stderr)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and time what happens inside it."""
        self._console.print(f"[bold cyan]{len(self.done) + 1}[/] [bold]{name}[/]")
        start = time.perf_counter()
        yield
        self.done.append(Stage(name, time.perf_counter() - start))
