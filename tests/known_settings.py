"""The settings that training commands know, written from their records; run as a module it rewrites the file."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import types
import typing
from importlib.metadata import version
from typing import Any

import trl

from sightline.settings.known import FILE, KINDS
from sightline.training.arguments import MixtureConfig, ScriptArguments, kinds_of
from sightline.training.dpo import DPOConfig
from sightline.training.loading import LoadingArguments
from sightline.training.sft import SFTConfig
from sightline.training.vilt.settings import (
    ViltDataArguments,
    ViltModelArguments,
    ViltObjectiveArguments,
    ViltTrainingArguments,
)

VILT = (ViltDataArguments, ViltModelArguments, ViltObjectiveArguments, ViltTrainingArguments)
RECORDS = {
    "sft": (ScriptArguments, SFTConfig, trl.ModelConfig, MixtureConfig, LoadingArguments),
    "dpo": (ScriptArguments, DPOConfig, trl.ModelConfig, MixtureConfig, LoadingArguments),
    "vilt": VILT,
}
UPSTREAM = ("trl", "transformers")


def render_settings() -> str:
    """The whole file: one setting a line."""
    lines: dict[str, list[str]] = {}
    for verb, records in RECORDS.items():
        kinds = kinds_of(records)
        for record in records:
            for field in dataclasses.fields(record):
                if field.init:
                    lines.setdefault(json.dumps(_setting(field, record, kinds[field.name])), []).append(verb)
    entries = [json.dumps({**json.loads(line), "verbs": list(dict.fromkeys(verbs))}) for line, verbs in lines.items()]
    versions = json.dumps({package: version(package) for package in UPSTREAM})
    return f'{{"versions": {versions}, "settings": [\n' + ",\n".join(sorted(entries)) + "\n]}\n"


def _setting(field: Any, record: type, kind: Any) -> dict[str, Any]:
    choices = list(field.metadata.get("choices", ())) or _members(kind)
    text = _kind_text(kind)
    assert choices or text in KINDS, f"{field.name}: settings/known.py has no kind {text}"
    return {
        "name": field.name,
        "kind": "" if choices and "bool" not in text else text,
        "choices": choices,
        "takes_none": type(None) in typing.get_args(kind),
        "default": _default(field),
        "help": " ".join(str(field.metadata.get("help", "")).split()),
        "is_ours": _first_record(field.name, record).__module__.startswith("sightline."),
    }


def _first_record(name: str, record: type) -> type:
    """The record that first had the setting."""
    return next(kind for kind in reversed(record.__mro__) if name in getattr(kind, "__annotations__", {}))


def _members(kind: Any) -> list[str]:
    """The values of an enumeration that stands beside plain text in an annotation."""
    parts = typing.get_args(kind) if isinstance(kind, types.UnionType) or typing.get_origin(kind) else (kind,)
    enums = [part for part in parts if isinstance(part, type) and issubclass(part, enum.Enum)]
    return [str(member.value) for part in enums for member in part]


def _kind_text(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_origin(kind) else str(kind).replace("typing.", "")


def _default(field: Any) -> str:
    value = field.default if field.default is not dataclasses.MISSING else None
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    return "" if value is None else str(getattr(value, "value", value))


if __name__ == "__main__":
    FILE.write_text(render_settings(), encoding="utf-8")
    print(f"wrote {FILE.name}", file=sys.stderr)
