"""Match stored answers to items: find the column of answers, and the item of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.answering.answerers import BY_ID, Answering, StoredAnswerer
from sightline.data.sources.answers import plain_text
from sightline.errors import DataError, nearest
from sightline.evaluation.items import Items
from sightline.evaluation.prediction_files import Record, read_records
from sightline.scoring.records import Item
from sightline.types import Answer

ID_COLUMNS = ("id", "index", "question_id", "questionId", "pid", "doc_id")
PREDICTION_COLUMNS = (
    "prediction", "pred", "response", "model_answer", "model_response", "model_output", "predicted_answer",
    "generated_text", "generated_answer", "filtered_resps",
)  # fmt: skip
"""Columns that hold what a model said and nothing else; one of them settles where the answers are."""

UNSURE_COLUMNS = ("text", "output", "resps", "answer")
"""Columns that hold answers in some files: `text` in LLaVA's, `answer` in those that evaluation servers take. In others
`text` is the question and `answer` the gold answer, so each is taken only where no other column might be meant."""

NO_ANSWER = "Failed to obtain answer via API"  # what VLMEvalKit writes in place of an answer
_PLACE = "doc_id"  # lmms-eval's: the place of a row in its data set, from 0
_QUESTIONS = ("question", "prompt", "input")
_ASKS_YES_NO = "pleaseansweryesorno"
_NOTHING = frozenset(("nan", "null", "<na>"))  # what tables write where a value is missing
_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")


@dataclass(frozen=True)
class Predictions:
    """The records of a file, and the column of what was said."""

    path: Path
    column: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Matched:
    """The answer of each item, in order, and what someone who reads the score must know of them."""

    answers: tuple[Answer, ...]
    notes: tuple[str, ...]


def read_predictions(path: Path, column: str = "") -> Predictions:
    """The records of a file with the column of the answers: `column`, or the one that names leave no doubt of.

    Raises:
        DataError: no such file, another format, or no telling which column holds the answers.
    """
    records = read_records(path)
    columns = list(dict.fromkeys(name for record in records for name in record))
    return Predictions(path, _said_column(columns, column, path.name), tuple(records))


def stored_answering(predictions: Predictions, items: Items, name: str) -> Answering:
    """The stored answers as whoever gave them would answer; called `name`, or by their file.

    Raises:
        DataError: as `predicted_answers`.
    """
    matched = predicted_answers(predictions, items)
    answers = {item.id: answer for item, answer in zip(items.items, matched.answers, strict=True)}
    answerer = StoredAnswerer(name or str(predictions.path), answers)
    return Answering(answerer, fingerprint="", provenance={}, prompt=BY_ID, notes=matched.notes)


def predicted_answers(predictions: Predictions, items: Items) -> Matched:
    """The answer of each item; one without a prediction, or with an empty one, is an error of that item.

    A record names its item by one of ID_COLUMNS, or by such a column of its record `doc`; of several the one is taken
    that finds most items whose question is that of the record. One way of naming holds for the whole file.

    Raises:
        DataError: a record without an id, with one that was there before, with a question that is not its item's, or
            no record of any item.
    """
    naming = _naming(predictions, items)
    given, strangers = _assigned(predictions, items.items, naming)
    answers = tuple(
        Answer(error=f"{predictions.path.name} has no prediction") if place not in given else given[place]
        for place in range(len(items.items))
    )
    return Matched(answers, tuple(_notes(predictions, naming, answers, strangers)))


@dataclass(frozen=True)
class _Naming:
    """A way to name items: the column of a record, and the items, by their places, that each name stands for."""

    column: str
    places: Mapping[str, Sequence[int]]


def _said_column(columns: Sequence[str], named: str, file: str) -> str:
    if named:
        if named not in columns:
            hint = nearest(named, columns) or "Name one of these."
            raise DataError(f"--prediction_column: {file} has {', '.join(columns)}; got '{named}'. {hint}")
        return named
    sure = [name for name in columns if _spelled(name) in PREDICTION_COLUMNS]
    unsure = [name for name in columns if _spelled(name) in UNSURE_COLUMNS]
    if len(sure) == 1:
        return sure[0]
    if not sure and len(unsure) == 1 and (_spelled(unsure[0]) != "answer" or _is_answer_alone(columns)):
        return unsure[0]
    raise DataError(
        f"{file}: which column holds the answers of the model? Its columns are {', '.join(columns)}. Name it by "
        "--prediction_column; a column of gold answers would score as right whatever was said."
    )


def _is_answer_alone(columns: Sequence[str]) -> bool:
    """Whether there are ids beside the answers and nothing else, as in files for evaluation servers."""
    return all(name in ID_COLUMNS or _spelled(name) == "answer" for name in columns)


def _spelled(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _naming(predictions: Predictions, items: Items) -> _Naming:
    """The way of naming by which most records find an item whose question is theirs; of equal ones the first.

    Raises:
        DataError: none finds any, or two find different ones and no question tells which is right.
    """
    found = []
    for naming in _namings(predictions, items):
        hits = [tuple(naming.places.get(_id_of(record, naming.column), ())) for record in predictions.records]
        asked = zip(predictions.records, hits, strict=True)
        agreeing = sum(bool(_with_question(record, places, items.items)) for record, places in asked)
        found.append((agreeing, sum(map(bool, hits)), hits, naming))
    if not any(matched for _, matched, _, _ in found):
        raise DataError(_no_item(predictions, items))
    best = max(found, key=lambda one: one[:2])
    rival = next(
        (one for one in found if one[:2] == best[:2] and one[3].column != best[3].column and one[2] != best[2]), None
    )
    if rival is not None:
        raise DataError(
            f"{predictions.path.name}: {best[3].column} and {rival[3].column} name different items, and both fit the "
            "task. Drop the one that is not meant, or add a column question."
        )
    return best[3]


def _namings(predictions: Predictions, items: Items) -> Iterator[_Naming]:
    columns = dict.fromkeys(name for record in predictions.records for name in record)
    docs = (record["doc"] for record in predictions.records if isinstance(record.get("doc"), dict))
    inner = dict.fromkeys(f"doc.{name}" for doc in docs for name in doc)
    names = [[_plain_id(name) for name in (item.id, *item.aliases)] for item in items.items]
    ways = max(map(len, names), default=0)
    known = [_by_name([own[way] if way < len(own) else own[0] for own in names]) for way in range(ways)]
    for column in (*(name for name in ID_COLUMNS if name in columns), *(f"doc.{name}" for name in ID_COLUMNS)):
        if column == _PLACE:
            continue
        if column in columns or column in inner:
            yield from (_Naming(column, places) for places in known)
    if _PLACE in columns:
        yield _Naming(_PLACE, _by_name([str(items.row_numbers[item.id] - 1) for item in items.items]))


def _by_name(names: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places


def _id_of(record: Record, column: str) -> str:
    outer, _, inner = column.partition(".")
    value = record.get(outer)
    if inner:
        value = value.get(inner) if isinstance(value, dict) else None
    return "" if isinstance(value, bool | dict | list) else _plain_id(plain_text(value))


def _plain_id(text: str) -> str:
    """An id without the ".0" that pandas gives to whole numbers of a column with gaps."""
    whole = _WHOLE_NUMBER.fullmatch(text.strip())
    return whole.group(1) if whole else text.strip()


def _assigned(predictions: Predictions, items: Sequence[Item], naming: _Naming) -> tuple[dict[int, Answer], list[str]]:
    """The answers by the places of their items, and the ids that belong to none."""
    given: dict[int, Answer] = {}
    strangers: dict[tuple[str, str], None] = {}
    for number, record in enumerate(predictions.records, start=1):
        name, key = f"{predictions.path.name} record {number}", _id_of(record, naming.column)
        if not key:
            raise DataError(
                f"{name}: expected an id in {naming.column}, got {record.get(naming.column)!r}. Fill it in, or drop "
                "the record."
            )
        places = _items_of(record, key, name, items, naming)
        again = (key, _letters(_question_of(record))) in strangers if not places else any(p in given for p in places)
        if again:
            raise DataError(f"{name}: the id '{key}' was there before. Keep one prediction each.")
        if not places:
            strangers[key, _letters(_question_of(record))] = None
        for place in places:
            given[place] = _answer(record.get(predictions.column), items[place], f"{name}: {predictions.column}")
    return given, [key for key, _ in strangers]


def _items_of(record: Record, key: str, name: str, items: Sequence[Item], naming: _Naming) -> Sequence[int]:
    """The items that a record answers: all that its id names and that ask its question."""
    named = naming.places.get(key, ())
    places = _with_question(record, named, items)
    if named and not places:
        raise DataError(
            f"{name}: the id '{key}' is that of an item that asks '{items[named[0]].question:.60}', but the record's "
            f"question is '{_question_of(record):.60}'. Check that file and data belong together."
        )
    if len({_letters(items[place].question) for place in places}) > 1:
        raise DataError(
            f"{name}: the id '{key}' is that of {len(places)} items with different questions "
            f"({', '.join(items[place].id for place in places[:3])}). Add a column question, or use these ids."
        )
    return places


def _with_question(record: Record, places: Sequence[int], items: Sequence[Item]) -> Sequence[int]:
    """Those of the items that ask what the record says was asked; all where it does not say.

    A prompt that holds none of the questions says nothing of them: it may be one prompt for all.
    """
    asked = _letters(_question_of(record))
    if not asked or not places:
        return places
    alike = [place for place in places if _is_asked(_letters(items[place].question), asked)]
    is_known = "question" in record or _PLACE in record
    return alike if alike or is_known else places


def _question_of(record: Record) -> str:
    doc = record.get("doc")
    found = next((record[name] for name in _QUESTIONS if isinstance(record.get(name), str)), None)
    if found is None and isinstance(doc, dict):
        found = doc.get("question")
    return found if isinstance(found, str) else ""


def _is_asked(question: str, asked: str) -> bool:
    bare = question.removesuffix(_ASKS_YES_NO)
    return bare in asked or asked in question


def _letters(text: str) -> str:
    """Letters and digits alone, in lower case: what harnesses leave as it is of a question."""
    return "".join(filter(str.isalnum, text.lower()))


def _answer(said: Any, item: Item, name: str) -> Answer:
    while isinstance(said, list | tuple) and len(said) == 1:  # lmms-eval's lists of one answer
        said = said[0]
    if isinstance(said, list | tuple | dict | bytes) and said:
        raise DataError(f"{name}: expected an answer, got {said!r:.60}. Name another column by --prediction_column.")
    if isinstance(said, bool) and not {gold.strip().lower() for gold in item.answers} & {"yes", "no"}:
        said = str(said)
    text = plain_text(said) if not isinstance(said, list | tuple | dict | bytes) else ""
    said_low = text.strip().lower()
    may_be = {known.strip().lower() for known in (*item.answers, *item.options)}
    if not said_low or (said_low in _NOTHING and said_low not in may_be):
        return Answer(error=f"{name} is empty")
    return Answer(error=f"{name}: {text.strip()}") if text.startswith(NO_ANSWER) else Answer(text)


def _no_item(predictions: Predictions, items: Items) -> str:
    wanted = ", ".join(item.id for item in items.items[:3])
    columns = dict.fromkeys(name for record in predictions.records for name in record)
    named = next((name for name in ID_COLUMNS if name in columns), None)
    if named is None:
        return (
            f"{predictions.path.name}: expected an id of each record's item in {', '.join(ID_COLUMNS)}; found "
            f"{', '.join(columns)}. Rename the column. The task's items are {wanted}, ..."
        )
    ids = ", ".join(_id_of(record, named) for record in predictions.records[:3])
    return (
        f"{predictions.path.name} has predictions for {ids}, ..., but the task's items are {wanted}, ... "
        "Check that the file belongs to the task."
    )


def _notes(
    predictions: Predictions, naming: _Naming, answers: Sequence[Answer], strangers: Sequence[str]
) -> Iterator[str]:
    name, count = predictions.path.name, len(predictions.records)
    yield f"{name}: answers from the column {predictions.column}, items by {naming.column}."
    if strangers:
        some = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        yield f"{name}: {len(strangers):,} of {count:,} predictions are of no item that was asked ({some})."
    missing = sum(answer.error == f"{name} has no prediction" for answer in answers)
    if missing:
        yield f"{name}: {missing:,} of {len(answers):,} items have no prediction, and count as wrong."
    empty = sum(answer.error.endswith(" is empty") for answer in answers)
    if empty:
        yield f"{name}: {empty:,} predictions are empty, and count as wrong."
