"""Units of synthesis: images with captions and boxes, rows to paraphrase, questions for preference pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.data.formats.columns import to_sft_columns
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.column_names import OWN_NAMES
from sightline.data.sources.datasets import read_dataset
from sightline.data.sources.stored import DatasetPicture, DatasetTable, Row
from sightline.errors import DataError
from sightline.evaluation.task import Task
from sightline.evaluation.tasks.cells import text
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.normalise import normalise
from sightline.scoring.records import Item
from sightline.synthesis.replies import Pair
from sightline.synthesis.settings import CORRUPTION, SAMPLES, SynthesisConfig

CAPTIONS, OBJECTS, PICTURES = ("captions", "caption"), ("objects", "boxes"), ("image", "images")


@dataclass(frozen=True)
class Unit:
    """What one reply is asked for.

    Attributes:
        name: the row, or the first of its rows, for messages and records.
        shown: the text that the model sees.
        pairs: the questions and answers that the row has already.
        system: a system message that it starts with.
        question: what a description answers.
    """

    name: str
    picture: DatasetPicture
    shown: str
    pairs: tuple[Pair, ...] = ()
    system: str = ""
    question: str = ""


def source_table(config: SynthesisConfig) -> DatasetTable:
    """The rows of the source, those whose pictures are missing among them."""
    names = config.columns or OWN_NAMES
    access = PictureAccess(keep_missing=True, skip_bad_rows=config.skip_bad_rows, columns=names)
    return DatasetTable(read_dataset(config.source, config.split, pictures=access), Path(config.source).name)


def read_scenes(table: DatasetTable, limit: int | None, bad: BadRows) -> list[Unit]:
    """A unit for each of the first `limit` pictures, with the captions and boxes of all its rows.

    Rows of a picture below the first picture beyond the limit are not read.

    Raises:
        DataError: no captions, or not one picture in each row; the first rows, where they may not be left out.
    """
    units: dict[str, Unit] = {}
    captions: dict[str, list[str]] = {}
    boxes: dict[str, list[str]] = {}
    opened: set[str] = set()
    for index in range(len(table)):
        with bad.of_row(index):
            row = table.row(index)
            picture = one_picture(row)
            if picture.key not in units and len(units) == limit:
                break
            lines, boxed = _caption_lines(row), _box_lines(row, picture)
            require_opened(picture, opened)
            units.setdefault(picture.key, Unit(row.name, picture, ""))
            captions.setdefault(picture.key, []).extend(lines)
            boxes.setdefault(picture.key, []).extend(boxed)
    bad.settle(len(units))
    return [replace(unit, shown=_text(captions[key], boxes[key])) for key, unit in units.items()]


def read_turns(read: DatasetTable, limit: int | None, bad: BadRows) -> list[Unit]:
    """A unit for each of the first `limit` rows of questions and answers.

    Raises:
        DataError: other columns, or rows whose turns do not alternate or that have not one picture; the first of them,
            where they may not be left out.
    """
    table = DatasetTable(to_sft_columns(read.dataset, read.source), read.source)
    units: list[Unit] = []
    opened: set[str] = set()
    for index in range(len(table)):
        if len(units) == limit:
            break
        with bad.of_row(index):
            row = table.row(index)
            picture = one_picture(row)
            system, pairs = _turns(row)
            require_opened(picture, opened)
            shown = "\n".join(json.dumps({"question": q, "answer": a}, ensure_ascii=False) for q, a in pairs)
            units.append(Unit(row.name, picture, shown, pairs, system))
    bad.settle(len(units))
    return units


def one_picture(row: Row) -> DatasetPicture:
    """The picture of a row. Raises DataError where it has none, or several."""
    found: list[Any] = []
    for column in PICTURES:
        value = row.cells.get(column)
        found += value if isinstance(value, tuple) else [] if value is None else [value]
    if len(found) != 1 or not isinstance(found[0], DatasetPicture):
        raise DataError(
            f"{row.name}: expected one picture in the column image, got {len(found)} in {', '.join(row.cells)}. "
            "Leave the row out, or name the column image."
        )
    return found[0]


def require_opened(picture: DatasetPicture, opened: set[str]) -> None:
    """Nothing for a picture that opens; those that did are noted in `opened`, and not read again.

    Raises:
        DataError: it does not; begins with its row.
    """
    if picture.key not in opened:
        picture.open()
        opened.add(picture.key)


def _caption_lines(row: Row) -> tuple[str, ...]:
    column = next((name for name in CAPTIONS if row.cells.get(name)), None)
    value = row.cells[column] if column else []
    lines = tuple(" ".join(str(line).split()) for line in (value if isinstance(value, list) else [value]) if line)
    if not lines:
        raise DataError(
            f"{row.name}: expected captions in the column captions (or caption), found {', '.join(row.cells)}. "
            "Rename the column, or leave the row out."
        )
    return lines


def _box_lines(row: Row, picture: DatasetPicture) -> tuple[str, ...]:
    value = next((row.cells[name] for name in OBJECTS if row.cells.get(name)), None)
    if value is None:
        return ()
    width, height = row.cells.get("width"), row.cells.get("height")
    return box_lines(value, (width, height) if width and height else picture.open().size, row.name)


def _text(captions: list[str], boxes: list[str]) -> str:
    """Captions, an empty line, boxes, one a line; none twice."""
    return "\n\n".join("\n".join(dict.fromkeys(lines)) for lines in (captions, boxes) if lines)


def _turns(row: Row) -> tuple[str, tuple[Pair, ...]]:
    """The system message of a row, or an empty text, and its questions with their answers."""
    messages = row.cells.get("messages") or [*_said(row, "prompt"), *_said(row, "completion")]
    texts = [(str(message["role"]), message_text(message)) for message in messages]
    system = texts.pop(0)[1] if texts and texts[0][0] == "system" else ""
    roles = [role for role, _ in texts]
    if not texts or roles != ["user", "assistant"] * (len(texts) // 2):
        raise DataError(
            f"{row.name}: expected turns of user and assistant in alternation, got {', '.join(roles) or 'none'}. "
            "Use the columns messages, or question and answer."
        )
    return system, tuple((texts[index][1], texts[index + 1][1]) for index in range(0, len(texts), 2))


def _said(row: Row, column: str) -> list[Mapping[str, Any]]:
    value = row.cells.get(column)
    return value if isinstance(value, list) else []


def message_text(message: Mapping[str, Any]) -> str:
    """The words of a message, without its pictures."""
    content = message["content"]
    if isinstance(content, str):
        return content.strip()
    return "".join(part.get("text") or "" for part in content).strip()


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


QUESTION_TASK, CAPTION_TASK = "custom", "coco_caption_cc"


@dataclass(frozen=True)
class Asked:
    """A question as a model is asked it; `item` holds what its answers are scored by."""

    item: Item
    text: str
    picture: DatasetPicture


@dataclass(frozen=True)
class Questions:
    """The questions of a source, and the task whose scorer reads their answers."""

    task: Task
    rows: tuple[Asked, ...]


def read_questions(config: SynthesisConfig, bad: BadRows) -> Questions:
    """The first `limit` questions of a source, each once per picture.

    Rows of captions are asked for a caption, which is held against theirs.

    Raises:
        DataError: rows cannot be used, or have no gold answer where nothing else tells good from bad; the first of
            them, where they may not be left out.
    """
    table = source_table(config)
    task = load_task(QUESTION_TASK if "question" in table.dataset.column_names else CAPTION_TASK)
    asked: dict[tuple[str, str], Asked] = {}
    opened: set[str] = set()
    for index in range(len(table)):
        if len(asked) == config.limit:
            break
        with bad.of_row(index):
            row = table.row(index)
            picture = one_picture(row)
            item = _item(task, row, picture)
            _check_gold(item, config)
            require_opened(picture, opened)
            one = Asked(item, task.prompts[task.default_prompt](item), picture)
            asked.setdefault((picture.key, normalise(one.text)), one)
    bad.settle(len(asked))
    return Questions(task, tuple(asked.values()))


def reject(asked: Asked, reason: str, reply: str, shown: str) -> dict[str, str]:
    """The record of a reply that could not be used."""
    return {"row": asked.item.name, "reason": reason, "reply": reply, "shown": shown}


def _item(task: Task, row: Row, picture: DatasetPicture) -> Item:
    given = [row.cells.get(column) for column in ("answers", "answer")]
    if task.name == QUESTION_TASK and all(value in (None, "", []) for value in given):
        return Item(row.name, row.name, text(row, "question"), (picture,))
    return next(iter(task.read("file", [row])))


def _check_gold(item: Item, config: SynthesisConfig) -> None:
    pairs = config.pairs
    unscored = pairs.chosen_from == SAMPLES and (pairs.rejected_from == CORRUPTION or bool(pairs.judge))
    if not item.answers and not unscored:
        raise DataError(
            f"{item.name}: expected a gold answer in the column answer (or answers), found none. Add it, or let "
            "something else tell good from bad: --judge, or --rejected_from corruption."
        )
