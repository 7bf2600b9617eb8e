"""Refuse rows that would train wrongly: wrong answers, videos that no model sees, rows of another kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sightline.data.formats.registry import FORMATS, Format
from sightline.data.pictures.images import row_images
from sightline.errors import DataError

Row = dict[str, Any]
NameOf = Callable[[int], str]

_LABELS = ("label", "kto_tag", "labels")
_TALKS = ("completion", "messages", "conversations")
_MEDIA = ("video", "videos", "audio", "audios")
_MARKS = ("<video>", "<audio>")
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


def rows_of_media(dataset: Any, columns: list[str], name_of: NameOf) -> dict[int, str]:
    """Why rows cannot be used whose video or sound their words or nothing else would show, by their index."""
    found = [column for column in _MEDIA if column in columns]
    bad: dict[int, str] = {}
    for index, row in enumerate(_rows(dataset, columns) if found else ()):
        column = next((one for one in found if row[one]), None)
        if column is not None and (not row_images(row) or any(mark in str(row) for mark in _MARKS)):
            bad[index] = (
                f"{name_of(index)}: expected text and images, got something in {column}, which no model here reads. "
                "Take frames as images, or leave the row out."
            )
    return bad


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
    return {"question", "answer"} <= {*columns} and (label == "kto_tag" or features.get(label) == Value("bool"))


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
