"""A setting's value, read as its annotation wants it: `"1e-5"` is a float where a float is due."""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Iterable
from typing import Any

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def read_as(value: Any, kind: Any) -> Any:
    """`value` as the annotation `kind` wants it; a kind that is no plain data lets every value pass.

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
        items = value if isinstance(value, list | tuple) else [value]
        return [read_as(item, arguments[0] if arguments else Any) for item in items]
    reader = _READERS.get(plain)
    return reader(value) if reader else value


def _read_union(value: Any, kinds: tuple[Any, ...]) -> Any:
    """`value` unchanged if it already is of one of the kinds, else as the first that can read it."""
    for kind in kinds:
        plain = typing.get_origin(kind) or kind
        if isinstance(plain, type) and type(value) is plain:
            return read_as(value, kind)
    for kind in kinds:
        try:
            return read_as(value, kind)
        except (TypeError, ValueError):
            continue
    raise ValueError(value)


def _member(value: Any, allowed: Iterable[Any]) -> Any:
    if value not in allowed:
        raise ValueError(value)
    return value


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
    return float(value)


def _to_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(value)
    return str(value)


def _to_mapping(value: Any) -> dict[Any, Any]:
    read = json.loads(value) if isinstance(value, str) else value
    if not isinstance(read, dict):
        raise ValueError(value)
    return read


def _to_none(value: Any) -> None:
    if value is not None and str(value).lower() not in ("none", "null"):
        raise ValueError(value)


_READERS: dict[Any, Any] = {
    bool: _to_bool,
    int: _to_int,
    float: _to_float,
    str: _to_text,
    dict: _to_mapping,
    type(None): _to_none,
}


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
