"""The option that a gold answer means: its text, its letter, or its index, and never a guess between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from sightline.data.sources.answers import plain_text, written_list
from sightline.data.sources.stored import Row
from sightline.errors import DataError
from sightline.evaluation.tasks.cells import cell

AS_INDEX, AS_TEXT = "index", "text"
_SPELLINGS = {True: ("yes", "true"), False: ("no", "false")}


@dataclass(frozen=True)
class Gold:
    """The letter of the right option; `read_as` says how a number was read, as all numbers of a dataset must be."""

    letter: str
    read_as: str = ""


def chosen_option(row: Row, column: str, options: Sequence[str]) -> Gold:
    """The option that the answer in a column means.

    A text is that of an option, or a letter; a boolean is the option that says yes (true) or no (false); a number is
    an index from 0, or the text of an option where no option has that index.

    Raises:
        DataError: it means none, or might mean two.
    """
    value = _single(row, cell(row, column), column)
    if isinstance(value, bool):
        return Gold(_of_boolean(row, value, options))
    if isinstance(value, float) and not value.is_integer():
        return Gold(_of_text(row, plain_text(value), options), AS_TEXT)
    if isinstance(value, int | float):
        return _of_number(row, int(value), options)
    return Gold(_of_text(row, plain_text(value).strip(), options))


def _single(row: Row, value: Any, column: str) -> Any:
    """The one answer of a cell, which may be in a list or a record."""
    value = written_list(value) if isinstance(value, str) and value.lstrip().startswith("[") else value
    if isinstance(value, dict):
        value = next((value[key] for key in ("answer", "text", "value", "label") if value.get(key) is not None), value)
    if isinstance(value, list | tuple):
        given = [part for part in value if plain_text(part).strip()]
        if len(given) != 1:
            raise DataError(
                f"{row.name}: expected one answer in {column}, as the row has options; got {len(given)}: "
                f"{', '.join(map(str, given))}. Leave the right one, or take out the options."
            )
        value = given[0]
    if isinstance(value, dict | list | tuple | bytes):
        raise DataError(f"{row.name}: expected an answer in {column}, got {value!r:.60}. Write the option's letter.")
    return value


def _of_boolean(row: Row, value: bool, options: Sequence[str]) -> str:
    meant = [place for place, option in enumerate(options) if option.strip().lower() in _SPELLINGS[value]]
    if len(meant) != 1:
        raise DataError(
            f"{row.name}: the answer {str(value).lower()} is a boolean, and the options are {', '.join(options)}. "
            "Write the option's letter or text."
        )
    return ascii_uppercase[meant[0]]


def _of_number(row: Row, number: int, options: Sequence[str]) -> Gold:
    by_text = _letters_with(str(number), options)
    by_index = ascii_uppercase[number] if 0 <= number < len(options) else ""
    if by_text and by_index and by_text != by_index:
        raise DataError(
            f"{row.name}: the answer {number} is the index of option {by_index}, '{options[number]}', and the text of "
            f"option {' and '.join(by_text)}. Write the letter, or the text in quotes."
        )
    if by_index:
        return Gold(by_index, "" if by_text else AS_INDEX)
    if len(by_text) == 1:
        return Gold(by_text, AS_TEXT)
    raise DataError(
        f"{row.name}: expected the answer to be the index of one of {len(options)} options, from 0, or the text of "
        f"one; got {number}. The options are {', '.join(options)}. Mend the row, or leave it out."
    )


def _of_text(row: Row, answer: str, options: Sequence[str]) -> str:
    by_text = _letters_with(answer, options)
    by_letter = answer if len(answer) == 1 and answer in ascii_uppercase[: len(options)] else ""
    if len(by_text) > 1:
        raise DataError(
            f"{row.name}: the answer '{answer}' is the text of the options {' and '.join(by_text)}. "
            "Options must differ."
        )
    if by_text and by_letter and by_text != by_letter:
        raise DataError(
            f"{row.name}: the answer '{answer}' is the letter of option {by_letter} and the text of option {by_text}. "
            "Give its index, counted from 0, as a number."
        )
    if not by_text and not by_letter:
        raise DataError(
            f"{row.name}: the answer '{answer}' is none of the options {', '.join(options)}, and none of the letters "
            f"{', '.join(ascii_uppercase[: len(options)])}. Mend the row, or leave it out."
        )
    return by_text or by_letter


def _letters_with(text: str, options: Sequence[str]) -> str:
    """The letters of the options with this text, blanks around it aside."""
    return "".join(ascii_uppercase[place] for place, option in enumerate(options) if option.strip() == text.strip())
