"""Rows of your own: a JSONL, Parquet, TSV file or Hub dataset with question, picture, and answers or options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence as Many
from string import ascii_uppercase
from typing import Any

from sightline.errors import DataError, nearest
from sightline.evaluation.scoring import EXACT
from sightline.evaluation.task import Item, Row, Task
from sightline.evaluation.tasks.cells import by_kind, cell, letter_at, lettered_options, optional, text, texts
from sightline.evaluation.tasks.prompts import CHOICE_EXAMPLE, as_asked, letter_answer, short_answer, vlmevalkit_choice
from sightline.types import Picture

_OPTION_COLUMNS = ("options", "choices")
_ANSWER_COLUMNS = ("answers", "answer")
_PICTURE_COLUMNS = ("images", "image")
_KIND_COLUMNS = ("category", "kind", "question_type", "answer_type")
_USED = {"id", "index", "question", *_OPTION_COLUMNS, *_ANSWER_COLUMNS, *_PICTURE_COLUMNS, *ascii_uppercase}


def _read(row: Row) -> Iterator[Item]:
    options = _options(row)
    kind = next((column for column in _KIND_COLUMNS if optional(row, column)), "")
    yield Item(
        id=optional(row, "id") or optional(row, "index") or str(row.number),
        name=row.name,
        question=text(row, "question"),
        pictures=_pictures(row),
        options=options,
        answers=_answers(row, options),
        category=optional(row, kind) if kind else "",
        facts={name: value for name, value in row.cells.items() if name not in _USED},
    )


def _options(row: Row) -> tuple[str, ...]:
    for column in _OPTION_COLUMNS:
        if row.cells.get(column):
            return texts(row, column)
    return lettered_options(row)


def _answers(row: Row, options: tuple[str, ...]) -> tuple[str, ...]:
    column = _answer_column(row)
    if options:
        return (_letter(row, cell(row, column), options),)
    value = cell(row, column)
    parts = value if isinstance(value, list) else texts(row, column)
    return tuple(str(part["answer"] if isinstance(part, dict) else part) for part in parts)


def _answer_column(row: Row) -> str:
    named = [name for name in _ANSWER_COLUMNS if name in row.cells]
    filled = [name for name in named if row.cells[name] not in (None, "", [])]
    if filled:
        return filled[0]
    if named:
        found, advice = f"the column {named[0]} is empty", "Fill it."
    else:
        hint = next((found for found in (nearest(name, _ANSWER_COLUMNS) for name in row.cells) if found), "")
        found, advice = f"the columns are {', '.join(row.cells)}", hint or "Add it."
    raise DataError(
        f"{row.name}: expected the gold answer in the column answer (or answers), but {found}. "
        f"{advice} A score needs something to compare with."
    )


def _letter(row: Row, value: Any, options: Many[str]) -> str:
    """The letter of the option that an answer means: its text, its letter, or (a number) its index from 0."""
    answer = str(value[0] if isinstance(value, list) and len(value) == 1 else value).strip()
    letters = ascii_uppercase[: len(options)]
    by_text = letters[list(options).index(answer)] if answer in options else ""
    by_letter = answer if len(answer) == 1 and answer in letters else ""
    if by_text and by_letter and by_text != by_letter:
        raise DataError(
            f"{row.name}: the answer '{answer}' is the letter of option {by_letter} and the text of option {by_text}. "
            "Give its index, counted from 0, as a number."
        )
    if isinstance(value, int) and not by_text:
        return letter_at(row, value, options)
    if not by_text and not by_letter:
        raise DataError(
            f"{row.name}: the answer '{answer}' is none of the options {', '.join(options)}, and none of the letters "
            f"{', '.join(letters)}. Mend the row, or leave it out."
        )
    return by_text or by_letter


def _pictures(row: Row) -> tuple[Picture, ...]:
    """The pictures of a row; none is allowed here, as text alone may be asked."""
    for column in _PICTURE_COLUMNS:
        value = row.cells.get(column)
        if isinstance(value, str) and value:
            raise DataError(f"{row.name}: expected a picture in {column}, got the text '{value[:60]}'. Mend the path.")
        if value:
            return value if isinstance(value, tuple) else (value,)
    return ()


def _prompt(item: Item) -> str:
    return letter_answer(item) if item.options else as_asked(item)


def _lmms_eval(item: Item) -> str:
    return letter_answer(item) if item.options else short_answer(item)


def _vlmevalkit(item: Item) -> str:
    return vlmevalkit_choice(item) if item.options else short_answer(item)


TASKS = {
    "custom": Task(
        name="custom",
        title="Rows of your own (--data FILE, FOLDER or HUB_ID)",
        sources=(),
        read=by_kind({"hub": _read, "tsv": _read}),
        prompts={"sightline": _prompt, "lmms-eval": _lmms_eval, "vlmevalkit": _vlmevalkit},
        scorers=EXACT.scorers,
        metrics=EXACT.metrics,
        max_new_tokens=64,
        default_prompt="sightline",
        example=CHOICE_EXAMPLE,
        licence="That of your rows.",
        note="Columns: question; answer or answers; options or choices (or A, B, ...), where the answer is the text, "
        "the letter or the index of one; image or images, or neither; category; id.",
    )
}
