"""Recipes: read YAML, expand variables, and check every value."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError, InputError, near, nearest
from sightline.notation import NotationError, excerpt, read_yaml
from sightline.secrets import hidden, sealed
from sightline.values import RecipeLoader, Written, describe, out_of_range, read_as

COMMAND_LINE = "command line"
RECIPES = (".yaml", ".yml")
PLACES = frozenset(
    "adapter adapter_folder annotations answers base benchmarks bert captions card chat_template chat_template_path "
    "config data data_dir data_files dataset_name decoder deepspeed eval_annotations eval_data eval_dataset_name "
    "evals fsdp_config image image_folder images model model_name_or_path others out output_dir output_path path "
    "policy predictions prompts resume_from_checkpoint run run_a run_b source tokenizer tower train_data vit".split()
)  # settings that name files, folders or Hub ids

UNBOUNDED = ("max_grad_norm",)  # infinite where gradients are measured and never clipped
SEEDS = 2**32  # numpy takes no other

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The settings of a YAML recipe with `${VAR}` and `${VAR:-default}` expanded.

    Numbers and truth values are kept as they are written, until `check_values` reads them as their settings want:
    `output_dir: 010` names the folder `010`, and `eval_strategy: no` means what it says. Relative paths stay relative
    to the working directory.

    Raises:
        ConfigError: the file is missing, is no mapping, sets a key twice, or uses a variable that is not set.
    """
    found = find_recipe(path)
    try:
        settings = read_yaml(found.read_text(encoding="utf-8"), RecipeLoader)
    except NotationError as error:
        raise ConfigError(f"{path} is not valid YAML: {error.placed}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error}). A recipe is a YAML file.") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        got = type(settings).__name__
        raise ConfigError(f"{path} holds a {got}, but a recipe is a mapping: lines of `key: value`.")
    return {str(key): _expand(value, f"{path}: {key}") for key, value in settings.items()}


def find_recipe(path: str | Path) -> Path:
    """The file that `path` names: itself, or the recipe that ships with Sightline under that name.

    `recipes/demo/sft.yaml` and `demo/sft.yaml` both name a shipped one when the working directory has no such file.

    Raises:
        ConfigError: there is neither.
    """
    given = Path(place(str(path), "config"))
    if given.is_file():
        return given
    if not given.is_absolute():
        inside = given.relative_to("recipes") if given.parts[:1] == ("recipes",) else given
        shipped = recipes_folder() / inside
        if shipped.is_file():
            return shipped
    known = [f"recipes/{name}" for name in shipped_recipes()]
    hint = near(str(path)) or nearest(str(path), known) or f"Shipped with Sightline: {', '.join(known) or 'none'}."
    raise ConfigError(f"No recipe at {path} (looked in {Path.cwd()}). {hint}")


def shipped_recipes() -> list[str]:
    """Names of the recipes that ship with Sightline, relative to their folder: `demo/sft.yaml`."""
    return sorted(file.relative_to(recipes_folder()).as_posix() for file in recipes_folder().rglob("*.yaml"))


def recipes_folder() -> Path:
    """Where the shipped recipes lie: in the installed package, or at the root of a checkout."""
    package = Path(__file__).parent
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parents[1] / "recipes"


def place(text: str, where: str) -> str:
    """A path, or the name of a model or dataset, with `${VAR}`, `${VAR:-default}` and a leading `~` expanded.

    All settings in `PLACES` pass here, whether a command, a flag or a recipe names them.

    Raises:
        ConfigError: a variable that is not set, or `~` of nobody; `where` starts the message.
    """
    expanded = os.path.expanduser(_VARIABLE.sub(lambda match: _variable(match, where), text))
    if expanded.startswith("~"):
        raise ConfigError(f"{where}: there is no home folder for {text!r}. Write ./{text} for a name that begins so.")
    return expanded


def placed(value: Any, where: str) -> Any:
    """A value of a setting in `PLACES`: its text, or each text in its list, as `place` gives it."""
    if isinstance(value, list):
        return [placed(item, where) for item in value]
    if isinstance(value, Path):
        return Path(place(str(value), where))
    return place(value, where) if isinstance(value, str) else value


def set_environment(recipe: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The recipe without its `env` mapping, whose variables are now set in this process (as TRL's parser does).

    Raises:
        ConfigError: `env` is no mapping.
    """
    variables = recipe.get("env") or {}
    if not isinstance(variables, Mapping):
        raise ConfigError(
            f"{where}: env must be a mapping of variable names to values, but is a {type(variables).__name__}."
        )
    os.environ.update({str(name): str(value) for name, value in variables.items()})
    return {key: value for key, value in recipe.items() if key != "env"}


def check_values(settings: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings with each value as its annotation wants it (`1e-5` and `"1e-5"` are floats, `yes` is true).

    Secrets come out as `secrets.Secret`, which no record shows.

    Args:
        kinds: annotation of each key, as `typing.get_type_hints` gives it; a key without one is left as it is.

    Raises:
        ConfigError: a value cannot be read as its annotation.
    """
    checked: dict[str, Any] = {}
    for key, value in settings.items():
        shown = f"--{key}" if where == COMMAND_LINE else key
        try:
            checked[key] = read_as(value, kinds.get(key, Any))
        except (TypeError, ValueError, OverflowError) as error:
            if value is True and where == COMMAND_LINE:
                raise ConfigError(f"{where}: {shown} needs a value ({describe(kinds[key])}) after it.") from error
            got = hidden({key: value})[key]
            told = f"{where}: {shown} must be {describe(kinds[key])}, but is {excerpt(got)}."
            if where == COMMAND_LINE and isinstance(value, list):
                told += " Put a value of several words in quotes; MODEL and ROWS stand before the first --key."
            raise ConfigError(told) from error
        require_range(key, checked[key], f"{where}: {shown}")
        checked[key] = sealed(checked[key], key)
        if key in PLACES:
            if checked[key] == "":
                raise ConfigError(f"{where}: {shown} is empty. Name a file, a folder or a Hub id, or leave it out.")
            checked[key] = placed(checked[key], f"{where}: {shown}")
    return checked


def require_short(path: str | Path, where: str) -> None:
    """Nothing for a path that the file system takes by its length, whether it is there or not.

    Raises:
        InputError: a part of it, or all of it, is too long.
    """
    longest = max(Path(path).parts, key=lambda part: len(os.fsencode(part)), default="")
    try:
        for one in (longest, path):  # all of it tells nothing where a folder of it is not there yet
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                os.lstat(one)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(
                f"{where}: {str(path)[:60]}...: expected names of up to 255 bytes, as file systems have them, got one "
                f"of {len(os.fsencode(longest)):,} in a path of {len(os.fsencode(path)):,}. Shorten it."
            ) from error


def require_range(name: str, value: Any, where: str) -> None:
    """Nothing for a setting whose numbers can be counted and computed with; `where` starts the message.

    Raises:
        ConfigError: an integer beyond 64 bits, not a number, infinity, or a seed that numpy does not take.
    """
    expected = out_of_range(value, name in UNBOUNDED)
    if not expected and name == "seed" and isinstance(value, int) and not 0 <= value < SEEDS:
        expected = f"a whole number from 0 to {SEEDS - 1:,}"
    if expected:
        raise ConfigError(f"{where} must be {expected}, but is {excerpt(hidden({name: value})[name])}.")


def _expand(value: Any, where: str) -> Any:
    """`value` with its variables replaced, at any depth; a text that had one is read as a plain scalar is."""
    if isinstance(value, dict):
        return {key: _expand(item, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, where) for item in value]
    if not isinstance(value, str) or not _VARIABLE.search(value):
        return value
    expanded = _VARIABLE.sub(lambda match: _variable(match, where), value)
    return Written(expanded) if expanded else None


def _variable(match: re.Match[str], where: str) -> str:
    name, default = match.groups()
    value = os.environ.get(name, "")
    if value:
        return value
    if default is None:
        raise ConfigError(f"{where} uses ${{{name}}}, which is not set. Set {name}, or write ${{{name}:-default}}.")
    return default
