"""Combine recipe and flags under today's names, with values of the right kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.config import COMMAND_LINE, check_values, read_recipe, set_environment
from sightline.settings.flags import read_flags
from sightline.settings.leading import named
from sightline.settings.spellings import say_todays, todays_settings
from sightline.settings.words import check_keys, renamed


@dataclass(frozen=True)
class Given:
    """What was said in one place.

    Attributes:
        where: the recipe's path, or `COMMAND_LINE`.
        settings: the values by the settings' own names.
    """

    where: str
    settings: dict[str, Any]


def read_given(argv: Sequence[str], kinds: Mapping[str, Any]) -> tuple[Given, ...]:
    """What the recipe of `[RECIPE] [MODEL] [ROWS] --key value ...` says, then what the rest says.

    Args:
        kinds: the annotation of every setting there is.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one setting under two names with two values.
    """
    given = []
    for part in written_settings(argv, kinds):
        check_keys(part.settings, kinds, part.where)
        given.append(Given(part.where, check_values(part.settings, kinds, part.where)))
    return tuple(given)


def written_settings(argv: Sequence[str], known: Mapping[str, Any]) -> tuple[Given, ...]:
    """The same with values as they are written, and with keys that nobody knows among them."""
    flags = read_flags(named(argv, known))
    path = flags.pop("config", None)
    parts = [Given(COMMAND_LINE, flags)]
    if path is not None:
        if not isinstance(path, str):
            path = check_values({"config": path}, {"config": str}, COMMAND_LINE)["config"]
        parts.insert(0, Given(str(path), set_environment(read_recipe(path), str(path))))
    return tuple(Given(part.where, _own_names(part, known)) for part in parts)


def _own_names(part: Given, known: Mapping[str, Any]) -> dict[str, Any]:
    settings, lines = renamed(part.settings, known, f"{part.where}: ")
    todays = todays_settings(settings, known, part.where)
    say_todays((*lines, *todays.lines))
    return todays.settings
