"""Write docs/python.md from the signatures and docstrings of the public names; run as a module it rewrites the file."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from typing import Any

import sightline
from tests.project_tree import ROOT

TARGET = ROOT / "docs" / "python.md"
GROUPS = {
    "Ask": ("ask", "load_vlm", "LoadingOptions"),
    "Evaluate": ("run_eval", "EvalConfig", "DataChoice", "Asking", "run_compare"),
    "Train": ("SFTTrainer", "SFTConfig", "DPOTrainer", "DPOConfig"),
}
HEADER = """# Python

Written by `make docs` from the docstrings of the public names.

`import sightline` is fast: each of these names loads its part of the package when you first use it. The package has
type hints, so editors and mypy check your code. A setting has the same name in Python, as a flag and in a recipe.
Scripts for TRL run with `sightline` in place of `trl` in their imports: [from_trl.md](from_trl.md).

Four scripts to start from, one page each: [sft_own_data.py](../examples/sft_own_data.py),
[dpo.py](../examples/dpo.py), [evaluate.py](../examples/evaluate.py), [compare.py](../examples/compare.py).
"""
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Example|Source):\n", re.M)
_ENTRY = re.compile(r"^(?! )([\w, ]+): (.+)$", re.S)


def render_reference() -> str:
    """The whole document."""
    parts = [HEADER]
    for group, names in GROUPS.items():
        parts.append(f"## {group}\n")
        parts += [_entry(name, getattr(sightline, name)) for name in names]
    return "\n".join(parts)


def _entry(name: str, value: Any) -> str:
    about, *sections = _SECTION.split(inspect.getdoc(value) or "")
    parts = [f"### {name}\n"]
    if _is_ours(value):
        parts += [f"```text\n{_signature(name, value)}\n```\n", f"{about.strip()}\n"]
    else:
        parts += [f"{about.strip()}\n", _own_settings(value)]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        parts.append(_section(title, textwrap.dedent(body).strip()))
    return "\n".join(part for part in parts if part)


def _is_ours(value: Any) -> bool:
    """Whether all that a name takes is Sightline's own, and so part of its signature."""
    return not any(kind.__module__.startswith("trl.") for kind in getattr(value, "__mro__", ()))


def _signature(name: str, value: Any) -> str:
    if dataclasses.is_dataclass(value):
        given = [f"{field.name}: {field.type}{_default(field)}" for field in dataclasses.fields(value)]
        return "\n".join([f"{name}(", *(f"    {one}," for one in given), ")"])
    signature = inspect.signature(value)
    given = [f"{one.name}: {one.annotation}{_shown(one.default)}" for one in signature.parameters.values()]
    return "\n".join([f"{name}(", *(f"    {one}," for one in given), f") -> {signature.return_annotation}"])


def _default(field: dataclasses.Field[Any]) -> str:
    made = field.default_factory is not dataclasses.MISSING
    return f" = {getattr(field.default_factory, '__name__', '')}()" if made else _shown(field.default)


def _shown(default: Any) -> str:
    if default in (inspect.Parameter.empty, dataclasses.MISSING):
        return ""
    return f" = {default.__name__ if inspect.isfunction(default) else repr(default)}"


def _own_settings(config: Any) -> str:
    """Sightline's settings of a config that inherits all of TRL's, as a list; empty for a trainer."""
    lines = []
    for field in dataclasses.fields(config) if dataclasses.is_dataclass(config) else ():
        if field.name not in config.__annotations__:
            continue
        choices = field.metadata.get("choices")
        among = f" One of {', '.join(f'`{one}`' for one in choices)}." if choices else ""
        value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        lines.append(f"* `{field.name}` (`{value!r}`): {field.metadata['help']}{among}")
    return "\n".join([*lines, ""]) if lines else ""


def _section(title: str, body: str) -> str:
    if title == "Example":
        return f"```python\n{body}\n```\n"
    entries = [" ".join(one.split()) for one in re.split(r"\n(?! )", body)]
    listed = [_ENTRY.sub(lambda found: f"`{found[1]}`: {found[2]}", one) for one in entries]
    return "\n".join([f"**{title}**\n", *(f"* {one}" for one in listed), ""])


if __name__ == "__main__":
    TARGET.write_text(render_reference(), encoding="utf-8")
    print(f"wrote {TARGET.name}", file=sys.stderr)
