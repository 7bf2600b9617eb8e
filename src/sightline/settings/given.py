"""Read what a training command is given: recipe, model and rows first, then `--key value`, under today's names."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from sightline.config import COMMAND_LINE, RECIPES, check_values, read_recipe, set_environment
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.settings.places import is_model_folder, is_rows_file
from sightline.settings.spellings import say_todays, todays_settings
from sightline.settings.words import check_keys, renamed
from sightline.values import Written


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


MODEL = "model_name_or_path"


def named(argv: Sequence[str], known: Collection[str]) -> list[str]:
    """A command line whose first words have their keys: `nano rows.jsonl` reads `--model_name_or_path nano ...`.

    The order is model, then rows; where only the other order can be meant, that one is taken.

    Args:
        known: the settings of the command, whose rows are `dataset_name`, or of a ViLT `train_data`.

    Raises:
        ConfigError: what a word names cannot be told.
    """
    words = list(takewhile(lambda word: not word.startswith("-"), argv))
    rest = list(argv[len(words) :])
    recipes = [word for word in words if word.lower().endswith(RECIPES)]
    others = [word for word in words if word not in recipes]
    rows = "dataset_name" if "dataset_name" in known else "train_data"
    if len(recipes) > 1:
        raise ConfigError(f"{COMMAND_LINE}: expected one recipe, got {' and '.join(recipes)}. Drop one.")
    if len(others) > 2:
        raise ConfigError(
            f"{COMMAND_LINE}: expected MODEL and ROWS before the first --key; got {' '.join(others)}. Write "
            "the rest as --key value."
        )
    given = {"config": recipes[0]} if recipes else {}
    if len(others) == 2:
        given |= _pair(others[0], others[1], rows)
    elif others:
        given[_key(others[0], rest, rows)] = others[0]
    return [word for key, value in given.items() for word in (f"--{key}", value)] + rest


def _pair(first: str, second: str, rows: str) -> dict[str, str]:
    kinds = [("model" if is_model_folder(word) else "rows" if is_rows_file(word) else "") for word in (first, second)]
    if kinds[0] and kinds[0] == kinds[1]:
        both = "model folders" if kinds[0] == "model" else "files of rows"
        meant = (
            ""
            if kinds[0] == "model" or rows != "dataset_name"
            else (f" Rows to evaluate on: --{rows} {first} --eval_dataset_name {second}.")
        )
        raise ConfigError(f"{COMMAND_LINE}: expected MODEL, then ROWS; {first} and {second} are both {both}.{meant}")
    if kinds[0] == "rows" or kinds[1] == "model":
        first, second = second, first
    return {MODEL: first, rows: second}


def _key(word: str, rest: Sequence[str], rows: str) -> str:
    """What a single word names: by what it is, else by what the flags do not name yet."""
    if is_model_folder(word):
        return MODEL
    if is_rows_file(word) or os.path.isdir(word):
        return rows
    keys = {flag.removeprefix("--").partition("=")[0].replace("-", "_") for flag in rest}
    if keys & {rows, "datasets"}:
        return MODEL
    if keys & {MODEL, "model", "preset"}:
        return rows
    raise ConfigError(
        f"{COMMAND_LINE}: {word!r} may be a model or rows, and there is no such file or folder in {Path.cwd()}. Write "
        f"MODEL and ROWS, or --{MODEL} {word}, or --{rows} {word}."
    )


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
