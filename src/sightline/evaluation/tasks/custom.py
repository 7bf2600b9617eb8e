"""Your own rows: a JSONL, Parquet or TSV file or a Hub dataset with questions, images and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from sightline.data.marks import numbered, refuse_marked
from sightline.data.sources.answers import marked_answer, options_meant, plain_text, written_list
from sightline.data.sources.stored import Row
from sightline.errors import DataError, nearest
from sightline.evaluation.profiles import EXACT
from sightline.evaluation.task import Task, as_asked
from sightline.evaluation.tasks.cells import by_kind, cell, lettered_options, listed_options, optional, text, texts
from sightline.evaluation.tasks.prompts import CHOICE_EXAMPLE, letter_answer, short_answer, vlmevalkit_choice
from sightline.scoring.final_answer import begins_with_thought, without_thought
from sightline.scoring.records import Item
from sightline.types import Picture, Turn

_OPTION_COLUMNS = ("options", "choices")
_LABEL = re.compile(r"\s*\(?([A-Z])[.):：]\s*(?=\S)")
_NAMES_A_PICTURE = re.compile(r"!\[[^\]\n]*\]\(([^)\s]+)\)|<img\s[^>]*\bsrc\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_ANSWER_COLUMNS = ("answers", "answer")
_PICTURE_COLUMNS = ("images", "image")
_KIND_COLUMNS = ("category", "kind", "question_type", "answer_type")
_USED = {"id", "index", "question", *_OPTION_COLUMNS, *_ANSWER_COLUMNS, *_PICTURE_COLUMNS, *ascii_uppercase}


def _read(row: Row) -> Iterator[Item]:
    options = _options(row)
    gold = _gold(row, options) if options else None
    options = _without_labels(row, options)
    kind = next((column for column in _KIND_COLUMNS if optional(row, column)), "")
    pictures = _pictures(row)
    before = [turn.text for turn in row.turns]
    asked = text(row, "question")
    if gold is None:
        _refuse_unread_options(row)
    answers = (gold.letter,) if gold else _said_answers(row, _answer_column(row))
    if pictures:
        refuse_marked((*(turn.text for turn in row.turns if turn.role == "assistant"), *answers), "answer", row.name)
    said = numbered((*before, asked, *options), len(pictures), row.name)
    turns = tuple(Turn(turn.role, words) for turn, words in zip(row.turns, said, strict=False))
    question, *shown = said[len(turns) :]
    yield Item(
        id=optional(row, "id") or optional(row, "index") or str(row.number),
        name=row.name,
        question=question,
        pictures=pictures,
        options=tuple(shown),
        answers=answers,
        category=optional(row, kind) if kind else "",
        gold_read_as=gold.read_as if gold else "",
        facts={name: value for name, value in row.cells.items() if name not in _USED},
        turns=turns,
    )


def _options(row: Row) -> tuple[str, ...]:
    column = next((name for name in _OPTION_COLUMNS if not _is_empty(row.cells.get(name))), None)
    options = listed_options(row, column) if column else lettered_options(row)
    if len(options) == 1:
        raise DataError(f"{row.name}: one option, '{options[0]}', leaves no choice. Add the others, or take it out.")
    return options


def _gold(row: Row, options: tuple[str, ...]) -> Gold:
    """The option that the answer means, which may name its text with or without the letter that it bears."""
    column = _answer_column(row)
    try:
        return chosen_option(row, column, options)
    except DataError:
        if (bare := _without_labels(row, options)) == options:
            raise
        return chosen_option(row, column, bare)


def _said_answers(row: Row, column: str) -> tuple[str, ...]:
    """The gold answers, each without its thought and out of its tags or box, as answers of models are read, too."""
    said = tuple(filter(None, map(_final, texts(row, column))))
    if not said:
        raise DataError(f"{row.name}: expected an answer behind its thought in {column}, got none. Fill it in.")
    return said


def _final(answer: str) -> str:
    return marked_answer(without_thought(answer) if begins_with_thought(answer) else answer)


def _without_labels(row: Row, options: tuple[str, ...]) -> tuple[str, ...]:
    """The texts of options that bear their letters: "A. cat" is cat, as prompts give each its letter."""
    labels = [_LABEL.match(option) for option in options]
    letters = "".join(label[1] for label in labels if label)
    if len(letters) < len(options) or sorted(letters) != list(ascii_uppercase[: len(options)]):
        return options
    if letters != ascii_uppercase[: len(options)]:
        raise DataError(
            f"{row.name}: the options bear the letters {', '.join(letters)}, and stand in another order. Put them in "
            "the order of their letters, or take the letters out."
        )
    return tuple(option[label.end() :] for option, label in zip(options, labels, strict=True) if label)


def _refuse_unread_options(row: Row) -> None:
    """Raises DataError where the answer picks one of options that are not read: asked without, nobody could say it."""
    found = options_meant(row.cells, answer := _final(plain_text(row.cells[_answer_column(row)]).strip()))
    if found:
        raise DataError(
            f"{row.name}: the answer '{answer}' seems to pick one of the options in {', '.join(found)}, and options "
            "are read from options or choices (a list), or from the columns A, B, ... Rename the columns."
        )


def _answer_column(row: Row) -> str:
    named = [name for name in _ANSWER_COLUMNS if name in row.cells]
    filled = [name for name in named if not _is_empty(row.cells[name])]
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


def _is_empty(value: Any) -> bool:
    """Whether a cell holds nothing: no value, NaN, a blank text, or a list of such."""
    if isinstance(value, list | tuple):
        return all(map(_is_empty, value))
    return not plain_text(value).strip()


def _pictures(row: Row) -> tuple[Picture, ...]:
    """The pictures of a row; none is allowed here, as text alone may be asked, unless the text itself names one."""
    for column in _PICTURE_COLUMNS:
        value = row.cells.get(column)
        if isinstance(value, str) and value:
            raise DataError(f"{row.name}: expected a picture in {column}, got the text '{value[:60]}'. Mend the path.")
        if value:
            return value if isinstance(value, tuple) else (value,)
    if named := _NAMES_A_PICTURE.search(optional(row, "question")):
        raise DataError(
            f"{row.name}: the question shows the picture '{(named[1] or named[2])[:60]}' by {named.group()[:20]}..., "
            "which no model sees there. Name it in a column image, and write <image> where it stands."
        )
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
        note="Columns: question; answer or answers; options or choices (a list, texts by letter, columns A, B, ...), "
        "where the answer is the text, the letter or, as a number, the index from 0 of one; image or images, or "
        "neither; category; id. A boolean means yes or no, 3.0 is 3, a class label is the name of its class, and of a "
        "solution what its <answer> tags or its box hold. An answer that may mean two options is refused.",
    )
}


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
    return _final(value) if isinstance(value, str) else value


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
