"""Read settings from a command line: `--key value`, as typed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sightline.config import COMMAND_LINE
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.values import Written

_NUMBER = re.compile(r"-\.?\d")


def read_flags(argv: Iterable[str]) -> dict[str, Any]:
    """Settings given as `--key value`, `--key=value`, `--key a b c` (a list), `--key` (true) or `--no_key` (false).

    Of a setting that is no truth value, `--no_key` takes back what a recipe says.

    Hyphens in a key read as underscores. Values stay as they were typed until `check_values` reads them: where a
    setting is a list, a mapping or a number, as YAML does, so `[a, b]` and `{a: 1}` work; where it is text, not at all.

    Of a flag that stands there twice the last counts, and a line says so.

    Raises:
        ConfigError: an argument stands where a flag was expected.
    """
    flags: list[tuple[str, list[str]]] = []
    for argument in argv:
        if argument.startswith("--") and len(argument) > 2:
            name, equals, value = argument[2:].partition("=")
            flags.append((name.replace("-", "_"), [value] if equals else []))
        elif argument.startswith("-") and not _NUMBER.match(argument):
            said = f" --{argument[1:]}" if len(argument) > 2 else ""
            raise ConfigError(f"{COMMAND_LINE}: {argument!r} is no setting. Write --key value{said and f':{said}'}.")
        elif flags:
            flags[-1][1].append(argument)
        else:
            raise ConfigError(f"{COMMAND_LINE}: {argument!r} stands before any --key. Write --key value.")
    found: dict[str, Any] = {}
    for key, values in flags:
        name, setting = _flag_setting(key, values)
        if found.get(name, setting) != setting:
            say_twice(name, found[name], setting)
        found[name] = setting
    return found


def say_twice(name: str, first: Any, last: Any) -> None:
    """A line about an option that stands on the command line twice: the last value counts, as in TRL's parser."""
    say(f"--{name} stands there twice, with {_typed(first)} and {_typed(last)}: the last counts.")


def _typed(setting: Any) -> str:
    """What stands on the command line for a value, in messages."""
    return repr(" ".join(setting) if isinstance(setting, list) else str(setting))


def _flag_setting(name: str, values: list[str]) -> tuple[str, Any]:
    if not values and name.startswith("no_"):
        return name.removeprefix("no_"), False
    if not values:
        return name, True
    return name, Written(values[0]) if len(values) == 1 else [Written(value) for value in values]
