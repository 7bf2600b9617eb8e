"""The rich console of all tables and bars: it shows our colours and makes texts of others harmless."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from sightline.shown import is_plain, shown, under

FILE_WIDTH = 100_000  # columns: in a file or a pipe nothing wraps, whatever terminal or COLUMNS stands around it


def console_on(file: TextIO | None = None) -> Console:
    """A console that writes to `file`, by default stdout: as wide as the terminal, and in a file as what it prints.

    In a notebook it writes there, too: rich (15) would show its own blocks instead, whatever `file` is.
    """
    stream = under(file or sys.stdout)
    return _ShownConsole(file=stream, width=None if is_terminal(stream) else FILE_WIDTH, force_jupyter=False)


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody sits before the stream, which no variable of the environment changes."""
    return not stream.closed and stream.isatty()


class _ShownConsole(Console):
    """Overrides the one method through which whatever is printed, in tables and bars, too, becomes pieces of text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control or is_plain(segment.text) else Segment(shown(segment.text), segment.style)
