"""Refuse rows that would train wrongly: wrong answers, videos, boxes and turns that are lost, rows of another kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sightline.data.formats.questions import QUESTIONS
from sightline.data.formats.registry import FORMATS, Format, Goal
from sightline.data.formats.spoken import ROLES
from sightline.data.pictures.images import IMAGE_COLUMNS, row_images
from sightline.errors import DataError
from sightline.launch.processes import say

Row = dict[str, Any]
NameOf = Callable[[int], str]

_LABELS = ("label", "kto_tag", "labels")
_TALKS = ("completion", "messages", "conversations")
_MEDIA = ("video", "videos", "audio", "audios")
_MARKS = ("<video>", "<audio>")
_BOX_MARKS = ("<bbox>", "<ref-object>")  # ms-swift's, which stand for what its column objects holds
_TRAINED = ("messages", "conversations", "completion")
# What OpenAI's, ms-swift's and Axolotl's turns say false or 0 in where they are not to be trained.
_TRAINED_KEYS = ("weight", "loss", "train", "training")
# Columns of words that belong to a question, in the files of those who have them.
WORDS_BESIDE = ("system", "history", "hint", "context", "text")
_WORDS = {"true": True, "false": False, "1": True, "0": False}


def refuse_unpaired(dataset: Any, columns: list[str], first_rows: list[Row], source: str) -> None:
    """Raise DataError for answers that are labelled right or wrong: the wrong ones would train as demonstrations."""
    found = next((column for column in _LABELS if column in columns), None)
    if found is None or not ({*_TALKS} & {*columns} or _asks_and_labels(dataset, columns, found)):
        return
    values = [_label(value) for value in _distinct(dataset, found, first_rows)]
    if False in values and all(value in (True, False, None) for value in values):
        raise DataError(
            f"{source}: expected pairs or demonstrations, got answers labelled true or false in {found} (KTO's "
            "unpaired preferences), the false of which would train as if they were right. Keep the rows labelled true "
            "for `sightline sft`, or pair them as prompt, chosen and rejected for `sightline dpo`; drop the column if "
            "it says something else."
        )


def rows_that_lose(dataset: Any, goal: Goal, columns: list[str], name_of: NameOf) -> dict[int, str]:
    """Why rows of a table cannot be used of which something would be lost, by their index; see `require_whole`."""
    kinds = {column: repr(dataset.features[column]) for column in columns}
    marked = any(f"'{key}'" in kinds[column] for column in _TRAINED if column in kinds for key in _TRAINED_KEYS)
    mixed = any("Json" in kinds[column] for column in _TRAINED if column in kinds)
    if not (marked or mixed or {*_MEDIA, "objects"} & {*columns}):
        return {}
    bad: dict[int, str] = {}
    for index, row in enumerate(_rows(dataset, columns)):
        try:
            require_whole(row, goal, name_of(index))
        except DataError as error:
            bad[index] = str(error)
    return bad


def require_whole(row: Row, goal: Goal, name: str) -> None:
    """Nothing for a row that trains what it says.

    Raises:
        DataError: it has a video or sound that its words or nothing else would show, words that stand for its boxes, or
            an answer that it says is not to be trained.
    """
    media = next((one for one in _MEDIA if row.get(one)), None)
    if media is not None and (not row_images(row) or any(mark in str(row) for mark in _MARKS)):
        raise DataError(
            f"{name}: expected text and images, got something in {media}, which no model here reads. "
            "Take frames as images, or leave the row out."
        )
    if row.get("objects"):
        said = str({column: value for column, value in row.items() if column not in ("objects", *IMAGE_COLUMNS)})
        if mark := next((mark for mark in _BOX_MARKS if mark in said), None):
            raise DataError(
                f"{name}: expected boxes and their names as text, got {mark}, for which the column objects stands. "
                "Write each where its mark is, or leave the row out."
            )
    for column in _TRAINED if goal == "sft" else ():
        key = next(filter(None, map(_untrained_key, row[column])), None) if isinstance(row.get(column), list) else None
        if key is not None:
            raise DataError(
                f"{name}: a turn of the assistant says {key}, and would be trained all the same. Write what is to be "
                f"trained as prompt and completion, or take {key.split(':')[0]} out."
            )


def say_unread(read: Iterable[str], first_rows: list[Row], source: str) -> None:
    """Says which columns of words that may belong to the question are not among those that are read."""
    lost = [column for column in WORDS_BESIDE if column not in {*read} and any(row.get(column) for row in first_rows)]
    if lost:
        say(
            f"{source}: not read: {', '.join(lost)}. If it belongs to what is asked, write it into the question, or "
            "the whole row as messages."
        )


def say_text_alone(format_: Format, columns: Iterable[str], source: str) -> None:
    """Says where a text is trained beside a question and an answer in columns of their own, which TRL passes over."""
    held = {*columns}
    other = next((one for one in FORMATS if one.columns[0] in QUESTIONS and {*one.columns} <= held), None)
    if format_.columns == ("text",) and format_.convert is None and other is not None:
        say(
            f"{source}: text is trained, all of it, as TRL does; not read: {', '.join(other.columns)}. To train the "
            "answers alone, give text another name: --columns whole=text."
        )


def _untrained_key(turn: Any) -> str | None:
    """What a turn of the assistant says in which it is not to be trained, if anything."""
    if not isinstance(turn, dict) or ROLES.get(str(turn.get("role") or turn.get("from")).lower()) != "assistant":
        return None
    return next((f"{key}: {turn[key]}" for key in _TRAINED_KEYS if turn.get(key) in (False, 0.0)), None)


def rows_of_other_kinds(dataset: Any, format_: Format, columns: list[str], name_of: NameOf) -> dict[int, str]:
    """Why rows cannot be used that have nothing in the format's columns, and are of another format, by their index.

    TRL's own may stand beside one another, as in a mixture.
    """
    needed = [column for column in format_.columns if column in columns]
    others = [
        one.columns
        for one in FORMATS
        if one.goal == format_.goal
        and set(one.columns) <= set(columns) - set(needed)
        and (format_.convert is not None or one.convert is not None)
    ]
    if not others or not any(dataset.data.column(column).null_count for column in needed):
        return {}
    bad: dict[int, str] = {}
    for index, row in enumerate(_rows(dataset, columns)):
        other = next((one for one in others if all(row[column] is not None for column in one)), None)
        if other is not None and all(row[column] is None for column in needed):
            bad[index] = (
                f"{name_of(index)}: expected {format_.name} ({', '.join(needed)}) as in other rows, got "
                f"{', '.join(other)}. Write rows of each kind into a file of their own, and join them by `datasets`."
            )
    return bad


def _asks_and_labels(dataset: Any, columns: list[str], label: str) -> bool:
    """Whether answers to questions are labelled by true and false: numbers there may be anything."""
    from datasets import Value

    features = dataset.features or {}
    asks = any(one.goal == "sft" and one.columns[0] in QUESTIONS and {*one.columns} <= {*columns} for one in FORMATS)
    return asks and (label == "kto_tag" or features.get(label) == Value("bool"))


def _distinct(dataset: Any, column: str, first_rows: list[Row]) -> Iterable[Any]:
    """The values of a column of numbers, booleans or words; of a stream those of its first rows."""
    import datasets
    import pyarrow
    import pyarrow.compute as compute

    if not isinstance(dataset, datasets.Dataset):
        return [row.get(column) for row in first_rows]
    kind, values = dataset.features[column], dataset.data.column(column)
    if not isinstance(kind, datasets.Value) or pyarrow.types.is_binary(values.type):
        return ()
    return compute.unique(values).to_pylist()


def _label(value: Any) -> Any:
    return _WORDS.get(value.strip().lower(), value) if isinstance(value, str) else value


def _rows(dataset: Any, columns: list[str]) -> Iterator[Row]:
    """The rows of a dataset; of a stream none, whose rows are looked at as they come."""
    import datasets

    return iter(dataset.select_columns(columns)) if isinstance(dataset, datasets.Dataset) else iter(())
