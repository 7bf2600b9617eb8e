"""Rows that a function makes whenever they are read (`with_transform`), in TRL's columns, made anew each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sightline.data.formats.even import are_talk, even_row, is_even
from sightline.data.formats.registry import Format, Goal, Row, recognise
from sightline.data.images import row_images
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

    def evened(row: Row, images: int, name: str) -> list[Row]:
        return [even_row({column: row[column] for column in spoken}, talk, name)]

    make = format_.convert or evened
    transform = dataset.format["format_kwargs"]["transform"]
    replaced = {*format_.columns, *format_.optional}
    name = f"{source}, a row that its transform makes"

    def convert(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        given = transform(batch)
        rows: list[Row] = [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]
        made: list[Row] = []
        for row in rows:
            new = make(row, len(row_images(row)), name)
            if len(new) != 1:
                raise DataError(f"{name}: expected one row of it, got {len(new)}. Give TRL's columns in the transform.")
            made.append({**{column: value for column, value in row.items() if column not in replaced}, **new[0]})
        return {column: [row[column] for row in made] for column in (made[0] if made else ())}

    shown = {"columns": dataset.format["columns"], "output_all_columns": dataset.format["output_all_columns"]}
    return dataset.with_transform(convert, **shown), format_
