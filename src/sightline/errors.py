"""Errors that teach: what was expected, what came, what to do.

SightlineError
├── InputError           yours to mend: data, configuration, arguments (exit code 2)
│   ├── DataError        a row, an image or a column of a dataset
│   │   └── TooLongError a row that max_length does not let in
│   ├── ConfigError      an unknown key, a value out of range, options that exclude each other
│   └── RunFolderError   an output folder that holds another run
└── MachineError         the machine's: missing packages, full disks, devices (exit code 1)

Beside it stand KeyboardInterrupt (130) and Stopped (143 for SIGTERM, 129 for SIGHUP).
"""

from __future__ import annotations

import difflib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from sightline.secrets import redact


class SightlineError(Exception):
    """Any error that Sightline raises on purpose; its message holds no secret, wherever it is shown or written.

    Attributes:
        said: whether another process of the run prints it.
    """

    exit_code = 1
    said = False

    def __init__(self, *said: object) -> None:
        super().__init__(*(redact(one) if isinstance(one, str) else one for one in said))


class InputError(SightlineError):
    """What the user gave cannot be used as it is."""

    exit_code = 2


class DataError(InputError):
    """A dataset, a row or an image cannot be used."""


class TooLongError(DataError):
    """A row of so many `tokens` is longer than `max_length`, and `length_policy` does not make it fit.

    `answerless` where no token of its answer would be left to train on. A worker's comes from its message alone.
    """

    def __init__(self, message: str, tokens: int = 0, answerless: bool = False) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.answerless = answerless


class ConfigError(InputError):
    """A setting is unknown, out of range or at odds with another."""


class RunFolderError(InputError):
    """An output folder holds something that would be lost."""


class MachineError(SightlineError):
    """The machine lacks something that the command needs."""


class Stopped(SystemExit):
    """A signal other than Ctrl-C's asks the command to end; no error, so that it passes whoever catches errors.

    Attributes:
        code: 128 and the signal's number, as a shell gives it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


def nearest(name: str, known: Iterable[str], at_least: float = 0.6) -> str:
    """The known name closest to `name` as a hint, `Did you mean 'x'?`, or an empty string; 1 is the same name."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=at_least)
    return f"Did you mean '{matches[0]}'?" if matches else ""


def near(name: str, folders: bool = False) -> str:
    """The entry beside a path whose name is closest, as a hint: `Did you mean ./nano?`; empty where none is close."""
    path = Path(name)
    try:
        with os.scandir(path.parent) as found:
            entries = {
                entry.name.lower(): entry.name
                for entry in found
                if not entry.name.startswith(".") and (entry.is_dir() or not folders)
            }
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name.lower(), sorted(entries), n=1, cutoff=0.6)
    if not close:
        return ""
    shown = path.parent / entries[close[0]]
    return f"Did you mean {'' if shown.is_absolute() or shown.parts[0] == '..' else './'}{shown}?"
