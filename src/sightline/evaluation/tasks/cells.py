"""Read a row's cells into an item: text, lists, options, letters, images; name what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from sightline.data.sources.answers import column_answers, plain_text, written_list
from sightline.data.sources.stored import Row
from sightline.errors import DataError
from sightline.scoring.records import Item
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


def asked_item(
    row: Row,
    identity: str,
    answers: tuple[str, ...],
    options: tuple[str, ...] = (),
    category: str = "",
    group: str = "",
    facts: Mapping[str, Any] | None = None,
    aliases: tuple[str, ...] = (),
) -> Item:
    """The item of a row that has its question and picture in the columns `question` and `image`."""
    asked, shown = text(row, "question"), pictures(row, "image")
    return Item(identity, row.name, asked, shown, options, answers, category, group, facts or {}, aliases=aliases)


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
    stored = cell(row, column)
    if isinstance(stored, list | tuple | dict | bytes):
        raise DataError(f"{row.name}: expected a text in {column}, got {stored!r:.60}. Write it as text.")
    value = plain_text(stored)
    if not value:
        raise DataError(f"{row.name}: {column} is empty. Fill it in, or leave the row out.")
    return value


def optional(row: Row, column: str) -> str:
    """The text of a column; empty where the row has nothing there."""
    return plain_text(row.cells.get(column))


def truth(row: Row, column: str) -> str:
    """The text of a column whose booleans mean True and False, as answers of statements do."""
    value = cell(row, column)
    return str(value) if isinstance(value, bool) else text(row, column)


def texts(row: Row, column: str) -> tuple[str, ...]:
    """The texts of a column that holds a list, one written as text, records, or one text: gold answers, mostly."""
    cell(row, column)
    found = column_answers(row.cells, column, row.name)
    if not found:
        raise DataError(f"{row.name}: {column} is empty. Fill it in, or leave the row out.")
    return found


def listed_options(row: Row, column: str) -> tuple[str, ...]:
    """The options of a column that holds a list, an object of texts by letter, or either written as text.

    Empty ones at the end are none. One in between would move the letters of those behind it, so it is refused.
    """
    value = written_list(cell(row, column))
    if isinstance(value, dict):
        value = _by_letter(row, column, value)
    if not isinstance(value, list | tuple):
        raise DataError(
            f"{row.name}: expected a list in {column}, got {value!r:.60}. Write the options as a list, "
            "or each into a column of its own: A, B, ..."
        )
    options = [_option(row, column, part) for part in value]
    while options and not options[-1].strip():
        options.pop()
    if not options:
        raise DataError(f"{row.name}: {column} is empty. Fill it in, or leave the row out.")
    empty = next((place for place, option in enumerate(options) if not option.strip()), None)
    if empty is not None:
        raise DataError(f"{row.name}: option {empty + 1} of {len(options)} in {column} is empty. Fill it in.")
    if len(options) > len(ascii_uppercase):
        raise DataError(
            f"{row.name}: {len(options)} options in {column}, but letters go to {ascii_uppercase[-1]}. "
            "Leave out options, or ask without them."
        )
    return tuple(options)


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


def gold_letter(row: Row, column: str, options: Sequence[str]) -> str:
    """The letter in a column, which must be that of an option."""
    return checked_letter(row, text(row, column).strip(), options)


def checked_letter(row: Row, letter: str, options: Sequence[str]) -> str:
    """The letter itself. Raises DataError where no option has it."""
    letters = ascii_uppercase[: len(options)]
    if len(letter) != 1 or letter not in letters:
        raise DataError(
            f"{row.name}: the answer '{letter}' is none of the options {', '.join(letters) or '(there are none)'}. "
            "Mend the row, or leave it out."
        )
    return letter


def letter_at(row: Row, index: Any, options: Sequence[str]) -> str:
    """The letter of the option at an index counted from 0, given as a number or as text."""
    said = "" if isinstance(index, bool) else plain_text(index).strip()
    place = int(said) if said.isdecimal() else -1
    if not 0 <= place < len(options):
        raise DataError(
            f"{row.name}: expected the answer to be the index of one of {len(options)} options, from 0; got {index!r}. "
            "Mend the row, or leave it out."
        )
    return ascii_uppercase[place]


def letter_of(row: Row, answer: str, options: Sequence[str]) -> str:
    """The letter of the option with this text."""
    if answer not in options:
        raise DataError(
            f"{row.name}: the answer '{answer}' is none of the options {', '.join(options)}. "
            "Mend the row, or leave it out."
        )
    return ascii_uppercase[list(options).index(answer)]


def _by_letter(row: Row, column: str, options: dict[str, Any]) -> list[Any]:
    """The texts of an object of options, in the order of its letters A, B, ..."""
    said, labels = options.get("text"), options.get("label")
    if isinstance(said, list) and isinstance(labels, list) and len(said) == len(labels):  # as ARC has them
        options = dict(zip(map(str, labels), said, strict=True))
    filled = {str(key).strip().upper(): value for key, value in options.items() if plain_text(value)}
    if sorted(filled) != list(ascii_uppercase[: len(filled)]):
        raise DataError(
            f"{row.name}: expected the options in {column} by the letters A, B, ..., got "
            f"{', '.join(map(str, options))}. Write them as a list."
        )
    return [filled[letter] for letter in sorted(filled)]


def _option(row: Row, column: str, part: Any) -> str:
    if isinstance(part, list | tuple | dict | bytes):
        raise DataError(f"{row.name}: expected texts in {column}, got {part!r:.60}. Write each option as a text.")
    return plain_text(part)
