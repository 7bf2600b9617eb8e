"""The settings of training commands with kinds, defaults and meanings, read without TRL or transformers."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

FILE = Path(__file__).with_name("known.json")  # written by tests/known_settings.py, which a test holds against TRL
# Annotations as the file names them; what is not among them is checked by the records themselves.
KINDS: dict[str, Any] = {
    "bool": bool,
    "bool | None": bool | None,
    "bool | str": bool | str,
    "bool | str | None": bool | str | None,
    "int": int,
    "int | None": int | None,
    "int | str | None": int | str | None,
    "float": float,
    "float | None": float | None,
    "str": str,
    "str | None": str | None,
    "None | str | list[str]": None | str | list[str],
    "str | list[str] | None": None | str | list[str],
    "list[str]": list[str],
    "list[str] | None": list[str] | None,
    "str | bool": str | bool,
    "str | list[transformers.debug_utils.DebugOption]": Any,
    "list[float]": list[float],
    "list[float] | None": list[float] | None,
    "dict[str, bool] | None": dict[str, bool] | None,
    "dict | str | None": dict | str | None,
    "dict[str, str] | str | None": dict[str, str] | str | None,
    "dict[str, Any] | str | None": dict[str, Any] | str | None,
    "Union[str, NoneType, Literal[False]]": str | None | Literal[False],
    "accelerate.parallelism_config.ParallelismConfig | None": Any,
    "list[sightline.training.arguments.MixtureSource]": Any,
    "list[sightline.training.arguments.EvaluationSource]": Any,
}


@dataclass(frozen=True)
class Setting:
    """One setting of a training command.

    Attributes:
        kind: its annotation, or one of its `choices`.
        default: as text; empty for none.
        is_ours: whether TRL and transformers do not have it.
    """

    name: str
    kind: Any
    choices: tuple[str, ...]
    default: str
    help: str
    is_ours: bool


@functools.cache
def known_settings(verb: str) -> dict[str, Setting]:
    """The settings of `sft`, `dpo` or the verbs of `vilt`, by name."""
    entries = json.loads(FILE.read_text(encoding="utf-8"))["settings"]
    return {entry["name"]: _setting(entry) for entry in entries if verb in entry["verbs"]}


def known_kinds(*verbs: str) -> dict[str, Any]:
    """The annotation of each setting that one of the verbs has."""
    return {name: setting.kind for verb in verbs for name, setting in known_settings(verb).items()} | {
        "trust_remote_code": bool  # of every verb, to be refused by name
    }


def is_of_installed() -> bool:
    """Whether the file was written from the versions that are installed."""
    try:
        return all(version(name) == of for name, of in json.loads(FILE.read_text(encoding="utf-8"))["versions"].items())
    except PackageNotFoundError:
        return False


def _setting(entry: dict[str, Any]) -> Setting:
    choices = tuple(entry["choices"])
    kind = KINDS[entry["kind"]] if entry["kind"] else None
    if choices:
        kind = Literal[choices] if not entry["takes_none"] else Literal[choices] | None
        kind = bool | kind if "bool" in entry["kind"] else kind
    return Setting(entry["name"], kind, choices, entry["default"], entry["help"], entry["is_ours"])
