"""Rows that a function makes whenever they are read (`with_transform`), in TRL's columns, made anew each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.data.formats.even import are_talk, even_row, is_even
from sightline.data.formats.registry import Convert, Format, Goal, Row, recognise
from sightline.data.pictures.images import row_images
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def transformed_rows(dataset: Dataset, goal: Goal, source: str) -> tuple[Dataset, Format]:
    """The dataset with its rows in TRL's columns, made when its own transform has made them, and their format.

    Raises:
        DataError: an unknown format; while rows are read, one that is broken, or becomes none or several rows.
    """
    first = next(iter(dataset))
    format_ = recognise(first, [first], goal, source)
    spoken = {column: first[column] for column in format_.columns}
    talk = are_talk([spoken])
    if format_.convert is None and is_even(spoken, talk):
        return dataset, format_
    make = format_.convert or _Evening(format_.columns, talk)
    replaced = frozenset({*format_.columns, *format_.optional})
    name = f"{source}, a row that its transform makes"
    convert = _Conversion(dataset.format["format_kwargs"]["transform"], make, replaced, name)
    shown = {"columns": dataset.format["columns"], "output_all_columns": dataset.format["output_all_columns"]}
    return dataset.with_transform(convert, **shown), format_


@dataclass(frozen=True)
class _Evening:
    """Makes a row of TRL's own columns even."""

    columns: tuple[str, ...]
    talk: bool

    def __call__(self, row: Row, images: int, name: str) -> list[Row]:
        return [even_row({column: row[column] for column in self.columns}, self.talk, name)]


@dataclass(frozen=True)
class _Conversion:
    """Makes rows of TRL's columns of those that `transform` makes; a record, which a worker started anew can be given.

    Attributes:
        replaced: columns that `make` reads.
    """

    transform: Callable[[dict[str, list[Any]]], dict[str, list[Any]]]
    make: Convert
    replaced: frozenset[str]
    name: str

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        given = self.transform(batch)
        rows: list[Row] = [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]
        made: list[Row] = []
        for row in rows:
            new = self.make(row, len(row_images(row)), self.name)
            if len(new) != 1:
                raise DataError(
                    f"{self.name}: expected one row of it, got {len(new)}. Give TRL's columns in the transform."
                )
            made.append({**{column: value for column, value in row.items() if column not in self.replaced}, **new[0]})
        return {column: [row[column] for row in made] for column in (made[0] if made else ())}
