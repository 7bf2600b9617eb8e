"""Tell recipe, model and rows apart before the first `--key` of a training command."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from itertools import takewhile
from pathlib import Path

from sightline.config import COMMAND_LINE, RECIPES
from sightline.errors import ConfigError
from sightline.settings.places import is_model_folder, is_rows_file

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
