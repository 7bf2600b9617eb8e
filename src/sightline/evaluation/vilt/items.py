"""What ViLT's own files ask, as items of a run: questions with soft scores, sentences to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from sightline.data.pictures.images import named_key, open_image
from sightline.data.vilt.questions import AskedPicture
from sightline.data.vilt.sentences import LABELS, JudgedPictures
from sightline.data.vilt.sources import Picture as StoredPicture
from sightline.errors import DataError
from sightline.evaluation.items import Items, fingerprint
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks.registry import load_task
from sightline.evaluation.tasks.soft_answers import soft_item
from sightline.scoring.records import Item


@dataclass(frozen=True)
class _Shown:
    """A picture in a file or in memory, opened when it is needed."""

    stored: StoredPicture
    key: str
    name: str

    def open(self) -> Image:
        return open_image(self.stored, self.name)


def question_items(rows: Sequence[AskedPicture], data: str, bad_rows: Sequence[str] = ()) -> tuple[Task, Items]:
    """Questions as items of `soft_answers`.

    Raises:
        DataError: no row has answers to compare with.
    """
    if not any(row.scores for row in rows):
        raise DataError(f"{rows[0].name}: no row has answers. For VQAv2 name its --annotations.")
    found = tuple(
        soft_item(row.id, row.name, row.question, _shown(row.picture, row.name), row.scores, row.kind) for row in rows
    )
    return load_task("soft_answers"), _items(found, data, bad_rows)


def sentence_items(rows: Sequence[JudgedPictures], data: str, bad_rows: Sequence[str] = ()) -> tuple[Task, Items]:
    """Sentences as items of `custom` with the options false and true, clustered by the groups that share pictures."""
    found = tuple(
        Item(
            id=row.id,
            name=row.name,
            question=row.sentence,
            pictures=tuple(_shown(picture, row.name) for picture in row.pictures),
            options=LABELS,
            answers=("AB"[row.label],),
            category=LABELS[row.label],
            facts={"cluster": row.group},
        )
        for row in rows
    )
    return load_task("custom"), _items(found, data, bad_rows)


def _shown(picture: StoredPicture, name: str) -> _Shown:
    return _Shown(picture, named_key(picture, name), name)


def _items(items: tuple[Item, ...], data: str, bad_rows: Sequence[str]) -> Items:
    return Items(items, Source("file", str(Path(data))), fingerprint(items), tuple(bad_rows))
