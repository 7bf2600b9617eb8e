"""Convert a setting to its annotated type: `"1e-5"` becomes a float where a float is expected."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
import types
import typing
from collections.abc import Iterable
from typing import Any

import yaml

from sightline.notation import NotationError, read_json, read_yaml

LARGEST = 2**63 - 1
_NULLS = ("", "~", "null")
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Written(str):
    """A setting as it was written, of a kind that only its annotation tells: `010` is a name, or a number.

    It stands for what is typed on a command line, and in a recipe for numbers and truth values without quotes.
    """


def read_as(value: Any, kind: Any) -> Any:
    """`value` as the annotation `kind` wants it; a kind that is no plain data lets every value pass.

    What is `Written` stays as it is where text is wanted, and is read as YAML 1.2 reads it where anything else is.

    Raises:
        ValueError, TypeError: the value cannot be read as `kind`.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(value, arguments)
    if origin is typing.Annotated:
        return read_as(value, arguments[0])
    if origin is typing.Literal:
        return _member(value, arguments)
    plain = origin or kind
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return _member(value, [member.value for member in plain] + list(plain))
    if plain in (list, tuple):
        listed = _interpreted(value)
        items = listed if isinstance(listed, list | tuple) else [value]
        return [read_as(item, arguments[0] if arguments else Any) for item in items]
    if dataclasses.is_dataclass(plain):
        return value  # whose fields are read by its own annotations
    if plain is str:
        return _to_text(value)
    reader = _READERS.get(plain)
    return reader(_plain(value)) if reader else _plain(value)


def out_of_range(value: Any, takes_infinity: bool = False) -> str:
    """What is expected of a number, at any depth, that nothing can count or compute with; empty where none is."""
    if isinstance(value, dict | list | tuple):
        items = value.values() if isinstance(value, dict) else value
        return next(filter(None, (out_of_range(item, takes_infinity) for item in items)), "")
    if isinstance(value, int) and abs(value) > LARGEST:
        return "an integer of 64 bits"
    if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and not takes_infinity)):
        return "a finite number"
    return ""


def read_mapping(text: str) -> dict[str, Any]:
    """The mapping that a text holds as YAML 1.2, and so as JSON.

    Raises:
        ValueError: it is no YAML, or holds something else, or names that are no text.
    """
    found = read_yaml(text, _ScalarLoader)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError(text)
    return found


def _read_union(value: Any, kinds: tuple[Any, ...]) -> Any:
    """`value` unchanged if it already is of one of the kinds, else as the first that can read it.

    What is written stays text where text is among the kinds, unless it is a list, number or the like that is, too;
    `null` is text where nothing else but text may stand.
    """
    takes_text = str in kinds
    if isinstance(value, Written) and takes_text and set(kinds) <= {str, type(None)}:
        return str(value)
    found = _interpreted(value)
    for kind in kinds:
        if kind is not str and _is_of(found, kind):
            return read_as(found, kind)
    if takes_text and isinstance(value, str):
        return str(value)
    if value is False and type(None) in kinds:  # --no_key, which takes the setting back
        return None
    for kind in kinds:
        try:
            return read_as(value, kind)
        except (TypeError, ValueError, OverflowError):
            continue
    raise ValueError(value)


def _is_of(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return any(value is allowed for allowed in typing.get_args(kind))
    plain = typing.get_origin(kind) or kind
    return isinstance(plain, type) and type(value) is plain


def _plain(value: Any) -> Any:
    """`value` with what is written in it read as YAML 1.2 reads it, at any depth."""
    found = _interpreted(value)
    if isinstance(found, dict):
        return {_plain(key): _plain(item) for key, item in found.items()}
    return [_plain(item) for item in found] if isinstance(found, list) else found


def _interpreted(value: Any) -> Any:
    """What is written as YAML reads it, its parts still as they are written; text that is no YAML stays text."""
    if not isinstance(value, Written):
        return value
    try:
        found = read_yaml(value, RecipeLoader)
        found = read_yaml(value, _ScalarLoader) if isinstance(found, Written) else found
    except NotationError:
        return str(value)
    opening = "{" if isinstance(found, dict) else "[" if isinstance(found, list) else ""
    is_accident = not value.lstrip().startswith(opening) or (found is None and value.lower() not in _NULLS)
    return str(value) if is_accident else found


def _member(value: Any, allowed: Iterable[Any]) -> Any:
    allowed = list(allowed)
    for read in (str(value) if isinstance(value, Written) else value, _plain(value)):
        if read in allowed:
            return read
    raise ValueError(value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in _TRUTH:
        return _TRUTH[str(value).lower()]
    raise ValueError(value)


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or float(value) != int(float(value)):
        raise ValueError(value)
    return int(float(value)) if isinstance(value, float) else int(value)


def _to_float(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    read = float(value)
    if math.isinf(read) and isinstance(value, str) and re.search(r"\d", value):  # more digits than a float holds
        raise ValueError(value)
    return read


def _to_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(value)
    return str(value)


def _to_mapping(value: Any) -> dict[Any, Any]:
    read = read_json(value) if isinstance(value, str) else value
    if not isinstance(read, dict):
        raise ValueError(value)
    return read


def _to_none(value: Any) -> None:
    if value is not None and str(value).lower() not in ("none", "null"):
        raise ValueError(value)


_READERS: dict[Any, Any] = {bool: _to_bool, int: _to_int, float: _to_float, dict: _to_mapping, type(None): _to_none}


_YAML_1_1 = {"bool", "float", "int", "timestamp"}


class _ScalarLoader(yaml.SafeLoader):
    """YAML with the numbers and truth values of version 1.2, dates as text, and no key twice."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] not in _YAML_1_1]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen and key_node.tag != "tag:yaml.org,2002:merge":
                line = key_node.start_mark.line + 1
                raise NotationError(f"line {line} sets {key_node.value!r} again. Keep one")
            seen.add(str(key_node.value))
        return super().construct_mapping(node, deep)


_ScalarLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_ScalarLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^([-+]?(\.\d+|\d+\.\d*|\d+(?=[eE]))([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    list("-+.0123456789"),
)
_ScalarLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^([-+]?[0-9]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)


class RecipeLoader(_ScalarLoader):
    """YAML whose numbers and truth values are kept as they are written."""


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 16) if text.startswith("0x") else int(text)  # 010 is ten since version 1.2


def _written(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Written:
    return Written(loader.construct_scalar(node))


_ScalarLoader.add_constructor("tag:yaml.org,2002:int", _decimal)
for _kind in ("bool", "int", "float"):
    RecipeLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _written)


def describe(kind: Any) -> str:
    """An annotation in words, for messages: `float or None`, `one of 'auto', 'mask'`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(argument) for argument in arguments)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(repr(member.value) for member in kind)
    if kind is type(None):
        return "None"
    return getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
