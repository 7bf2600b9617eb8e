"""Shell completion by TAB: tasks, recipes, and settings of training commands with their values."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence

from sightline.config import RECIPES, shipped_recipes
from sightline.settings.known import Setting
from sightline.settings.task_names import TASKS

SWITCH = ("true", "false")
SHORT = 60


def complete_tasks(incomplete: str) -> list[str]:
    """Tasks whose names go on so, after those that stand there with commas."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in TASKS if name.startswith(last)]


def complete_recipes(incomplete: str) -> list[str]:
    """Recipes whose paths go on so: those that lie here or a folder below, and those that ship with Sightline."""
    start = glob.escape(incomplete)
    found = [path for kind in RECIPES for shape in ("*", "*/*") for path in glob.glob(f"{start}{shape}{kind}")]
    shipped = [f"recipes/{name}" for name in shipped_recipes()]
    return sorted({*found, *(name for name in shipped if name.startswith(incomplete))})


def one_of(*values: str) -> Callable[[str], list[str]]:
    """A completer of these values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def complete_setting(known: Mapping[str, Setting], before: Sequence[str], incomplete: str) -> list[tuple[str, str]]:
    """(word, meaning) of what can stand after `before`: settings' names, or the last one's values; none for a path."""
    last = next((word for word in reversed(before) if word != "="), "")
    if incomplete.startswith("-"):
        names = {f"--{name}": _short(setting.help) for name, setting in known.items()} | {"--config": "Recipe."}
        return [(name, meaning) for name, meaning in names.items() if name.startswith(incomplete)]
    name = last.removeprefix("--").replace("-", "_") if last.startswith("--") else ""
    return [(value, "") for value in _values(name, known.get(name), incomplete)]


def _short(meaning: str) -> str:
    """The first sentence, in a line of a menu; brackets would be markup to Typer."""
    first = meaning.replace("[", "(").replace("]", ")").split(". ")[0].split(": ")[0].rstrip(".")
    return first if len(first) <= SHORT else f"{first[: SHORT - 3].rsplit(' ', 1)[0]}..."


def _values(name: str, setting: Setting | None, incomplete: str) -> list[str]:
    if name == "config":
        return complete_recipes(incomplete)
    if name == "eval_tasks":
        return complete_tasks(incomplete)
    if setting is None:
        return []
    values = setting.choices or (SWITCH if setting.default in ("True", "False") or setting.kind is bool else ())
    return [value for value in values if value.startswith(incomplete)]
