"""VQA rows of a dataset, checked before the first question is asked, with each picture opened when it is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from PIL.Image import Image

from sightline.data.marks import without_marks
from sightline.data.pictures.columns import close_images
from sightline.data.pictures.images import content_key, open_image, row_images
from sightline.data.sources.answers import column_answers
from sightline.data.sources.datasets import row_name
from sightline.errors import DataError, nearest
from sightline.types import VqaRow

if TYPE_CHECKING:
    from datasets import Dataset

KIND_COLUMNS = ("kind", "question_type", "answer_type")
OWN = ("image", "images")
OPEN_PICTURES = 64


class DatasetRows(Sequence[VqaRow]):
    """The rows of a dataset as `VqaRow`s; the picture of a row is opened on access, the last few are remembered."""

    def __init__(self, rows: list[VqaRow], stored: Dataset) -> None:
        self._rows = rows
        self._stored = stored
        self._picture = lru_cache(maxsize=OPEN_PICTURES)(self._open)
        self._first: dict[str, int] = {}
        for index, row in enumerate(rows):
            self._first.setdefault(row.image_key, index)

    @overload
    def __getitem__(self, index: int) -> VqaRow: ...

    @overload
    def __getitem__(self, index: slice) -> list[VqaRow]: ...

    def __getitem__(self, index: int | slice) -> VqaRow | list[VqaRow]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        row = self._rows[index]
        return replace(row, image=self._picture(row.image_key)) if row.image_key else row

    def __len__(self) -> int:
        return len(self._rows)

    def _open(self, image_key: str) -> Image:
        index = self._first[image_key]
        name = self._rows[index].name
        return open_image(_picture_of(self._stored[index], name), name)


def read_vqa_rows(dataset: Dataset, source: str | Path, limit: int | None = None) -> DatasetRows:
    """The first `limit` rows (all by default), every one of them checked and every distinct picture opened once.

    Columns: `question`; `answer` or `answers` (texts, numbers, or records with `answer`); `image` or `images` with one
    picture, or none; a kind in the first of `kind`, `question_type`, `answer_type` there is; `id`.

    Raises:
        DataError: other columns, an empty question or answer, a picture that is missing or broken, an id used twice.
    """
    kind_column = _check_columns(dataset.column_names, source)
    if limit is not None:
        dataset = dataset.select(range(min(limit, len(dataset))))
    pictures = _PictureKeys()
    rows = []
    ids: dict[str, str] = {}
    dataset = close_images(dataset)
    for index, record in enumerate(dataset):
        name = row_name(source, index)
        picture = _picture_of(record, name)
        row = VqaRow(
            name=name,
            question=_question(record, name),
            answers=_answers(record, name),
            image_key=pictures.key(picture, name),
            kind=str(record.get(kind_column) or ""),
            id=str(record["id"]) if record.get("id") is not None else f"row-{index + 1}",
        )
        if row.id in ids:
            raise DataError(
                f"{name}: the id '{row.id}' was used by {ids[row.id]} already. Make ids unique or drop them."
            )
        ids[row.id] = name
        rows.append(row)
    return DatasetRows(rows, dataset.select_columns([name for name in OWN if name in dataset.column_names]))


def _check_columns(columns: list[str], source: str | Path) -> str:
    """The column that holds the kind, or an empty string; refuses columns that make no VQA rows."""
    if "question" not in columns or not {"answer", "answers"} & set(columns):
        hints = [nearest(column, ("question", "answer", "answers", "image")) for column in columns]
        hint = next((hint for hint in hints if hint), "")
        raise DataError(
            f"{source}: expected the columns question and answer (or answers), and image; "
            f"found {', '.join(columns)}. {hint or 'Rename the columns, or convert the file.'}"
        )
    return next((column for column in KIND_COLUMNS if column in columns), "")


def _picture_of(record: dict[str, Any], name: str) -> Any:
    pictures = row_images(record)
    if len(pictures) > 1:
        raise DataError(f"{name}: {len(pictures)} images, but a VQA row takes one. Drop the others or split the row.")
    return pictures[0] if pictures else None


def _question(record: dict[str, Any], name: str) -> str:
    question = without_marks(str(record["question"] or "").strip())
    if not question:
        raise DataError(f"{name}: the question is empty. Fill it in or drop the row.")
    return question


def _answers(record: dict[str, Any], name: str) -> tuple[str, ...]:
    """The gold answers as texts, each once, in order."""
    column = next((column for column in ("answers", "answer") if record.get(column) not in (None, [], "")), "answer")
    answers = tuple(dict.fromkeys(map(str.strip, column_answers({"answer": None, **record}, column, name))))
    if not answers:
        raise DataError(f"{name}: the answer is empty. Fill it in or drop the row.")
    return answers


class _PictureKeys:
    """Content keys of pictures, each distinct file or bytes opened once."""

    def __init__(self) -> None:
        self._keys: dict[Any, str] = {}

    def key(self, picture: Any, name: str) -> str:
        """The content key of a picture; empty where the row has none."""
        if picture is None:
            return ""
        if not isinstance(picture, dict):
            return content_key(open_image(picture, name))
        stored = hashlib.blake2b(picture["bytes"]).digest() if picture["bytes"] else picture["path"]
        if stored not in self._keys:
            self._keys[stored] = content_key(open_image(picture, name))
        return self._keys[stored]
