"""Boxes of objects as lines of text with shares of the picture's sides, the way LLaVA's authors wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightline.errors import DataError

LABELS = ("label", "category", "name", "class")
_HOW = "Give each object a label and x, y, w, h (or bbox with these four) in pixels, as COCO does."


def box_lines(value: Any, size: tuple[int, int], name: str) -> tuple[str, ...]:
    """`label: [left, top, right, bottom]` for each object, from 0 to 1 with three digits.

    Args:
        value: a list of objects, or one object whose fields are lists. Coordinates are pixels, or where none of a row
            exceeds 1, shares already.
        size: width and height of the picture.

    Raises:
        DataError: an object without label or with other than four numbers.

    >>> box_lines([{"label": "dog", "x": 50, "y": 0, "w": 25, "h": 100}], (100, 200), "row 1")
    ('dog: [0.5, 0.0, 0.75, 0.5]',)
    """
    objects = [_object(one, name) for one in _as_list(value)]
    shares = all(number <= 1 for _, box in objects for number in box)
    width, height = (1, 1) if shares else size
    return tuple(
        f"{label}: {[round(min(1.0, max(0.0, edge)), 3) for edge in _edges(box, width, height)]}"
        for label, box in objects
    )


def _as_list(value: Any) -> list[Any]:
    """Objects one by one, where a row may hold them as one object of lists."""
    if isinstance(value, dict):
        columns = {name: column for name, column in value.items() if isinstance(column, list)}
        count = len(next(iter(columns.values()), []))
        return [{name: column[index] for name, column in columns.items()} for index in range(count)]
    return list(value or [])


def _object(value: Any, name: str) -> tuple[str, tuple[float, ...]]:
    if not isinstance(value, dict):
        raise DataError(f"{name}: expected an object with a label and a box, got {str(value)[:60]}. {_HOW}")
    label = next((value[key] for key in LABELS if value.get(key) is not None), None)
    if not isinstance(label, str):
        raise DataError(f"{name}: expected a label of text for a box, got {label!r}. {_HOW}")
    given = value.get("bbox") or value.get("box") or [value.get(side) for side in "xywh"]
    if len(given) != 4 or not all(isinstance(number, int | float) for number in given):
        raise DataError(f"{name}: expected x, y, w, h of '{label}' as numbers, got {given}. {_HOW}")
    return label, tuple(float(number) for number in given)


def _edges(box: Sequence[float], width: float, height: float) -> tuple[float, ...]:
    left, top, wide, high = box
    return left / width, top / height, (left + wide) / width, (top + high) / height
