"""Cells of a source's row as text, lists, options, letters and pictures; what is missing is named."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence as Many
from string import ascii_uppercase
from typing import Any

from sightline.errors import DataError
from sightline.evaluation.task import Item, Row
from sightline.types import Picture

ReadRow = Callable[[Row], Iterable[Item]]


def by_kind(readers: Mapping[str, ReadRow]) -> Callable[[str, Iterable[Row]], Iterator[Item]]:
    """A task's `read` from one reader per kind of source; rows of files have the columns of the Hub's."""

    def read(kind: str, rows: Iterable[Row]) -> Iterator[Item]:
        schema = "hub" if kind == "file" else kind
        for row in rows:
            if schema not in readers:
                raise DataError(
                    f"{row.name}: this task reads {' or '.join(readers)} rows, and these are {kind} rows. "
                    "Take another source of it: `sightline tasks show NAME` lists them."
                )
            yield from readers[schema](row)

    return read


def cell(row: Row, column: str) -> Any:
    """The value of a column that the row must have. Raises DataError where the source has no such column."""
    if column not in row.cells:
        raise DataError(
            f"{row.name}: expected the column {column}; found {', '.join(row.cells) or 'none'}. "
            "Is this the file of another benchmark? Name the right one, or rename the column."
        )
    return row.cells[column]


def text(row: Row, column: str) -> str:
    """The text of a column that must be there and filled."""
    value = cell(row, column)
    if value is None or value == "":
        raise DataError(f"{row.name}: {column} is empty. Fill it in, or leave the row out.")
    return str(value)


def optional(row: Row, column: str) -> str:
    """The text of a column; empty where the row has nothing there."""
    value = row.cells.get(column)
    return "" if value is None else str(value)


def texts(row: Row, column: str) -> tuple[str, ...]:
    """The texts of a column that holds a list, a Python list written as text, or one text."""
    value = cell(row, column)
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        value = _literal(value)
    values = value if isinstance(value, list | tuple) else [value]
    found = tuple(str(part) for part in values if part is not None and part != "")
    if not found:
        raise DataError(f"{row.name}: {column} is empty. Fill it in, or leave the row out.")
    return found


def pictures(row: Row, *columns: str) -> tuple[Picture, ...]:
    """The pictures of these columns, in order. Raises DataError where there is none."""
    found: list[Picture] = []
    for column in columns:
        value = row.cells.get(column)
        found += value if isinstance(value, tuple) else [] if value is None else [value]
    if not found:
        raise DataError(f"{row.name}: expected a picture in {' or '.join(columns)}, got none. Leave the row out.")
    broken = next((value for value in found if isinstance(value, str)), None)
    if broken is not None:
        raise DataError(f"{row.name}: expected a picture, got the text '{broken[:60]}'. Call the column image.")
    return tuple(found)


def lettered_options(row: Row) -> tuple[str, ...]:
    """The options in the columns A, B, ... up to the last one filled; an option may be any text but an empty one."""
    filled = [letter for letter in ascii_uppercase if optional(row, letter)]
    expected = list(ascii_uppercase[: len(filled)])
    if filled != expected:
        raise DataError(f"{row.name}: options {', '.join(filled)} are filled, but not those between. Fill them in.")
    return tuple(optional(row, letter) for letter in filled)


def gold_letter(row: Row, column: str, options: Many[str]) -> str:
    """The letter in a column, which must be that of an option."""
    return checked_letter(row, text(row, column).strip(), options)


def checked_letter(row: Row, letter: str, options: Many[str]) -> str:
    """The letter itself. Raises DataError where no option has it."""
    letters = ascii_uppercase[: len(options)]
    if len(letter) != 1 or letter not in letters:
        raise DataError(
            f"{row.name}: the answer '{letter}' is none of the options {', '.join(letters) or '(there are none)'}. "
            "Mend the row, or leave it out."
        )
    return letter


def letter_at(row: Row, index: Any, options: Many[str]) -> str:
    """The letter of the option at an index counted from 0, given as a number or as text."""
    try:
        place = int(index)
    except (TypeError, ValueError):
        place = -1
    if not 0 <= place < len(options):
        raise DataError(
            f"{row.name}: expected the answer to be the index of one of {len(options)} options, from 0; got {index!r}. "
            "Mend the row, or leave it out."
        )
    return ascii_uppercase[place]


def letter_of(row: Row, answer: str, options: Many[str]) -> str:
    """The letter of the option with this text."""
    if answer not in options:
        raise DataError(
            f"{row.name}: the answer '{answer}' is none of the options {', '.join(options)}. "
            "Mend the row, or leave it out."
        )
    return ascii_uppercase[list(options).index(answer)]


def _literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):  # a text in brackets, such as "[1, 2)"
        return value
