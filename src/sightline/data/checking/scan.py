"""One pass over a dataset: every row read once, every distinct picture decoded once, in threads."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sightline.data.checking.findings import Place
from sightline.data.checking.pictures import PictureFacts, inspect_picture
from sightline.data.checking.texts import TEXT_COLUMNS, RowText, read_texts
from sightline.data.pictures.columns import close_images
from sightline.data.pictures.images import IMAGE_COLUMNS, rejected_images, row_images, stored_image
from sightline.data.sources.datasets import RowNames, row_name
from sightline.limits import usable_cpus

if TYPE_CHECKING:
    from datasets import Dataset

BATCH_ROWS = 64  # with pictures inside, so many are in memory at once
IN_FLIGHT = 64
MAX_THREADS = 16
PART_COLUMN = "source"

Progress = Callable[[int, int], None]


@dataclass
class Scan:
    """What a pass over a dataset found.

    Attributes:
        name: what its rows are called by.
        number: of the source; 0 for training data.
        pictures: facts of each distinct picture, as stored.
        places: where each of them stands first.
        shown: for each row the indices of its pictures.
        parts: rows by the column `source`.
    """

    name: str | RowNames
    number: int
    dataset: Dataset
    pictures: list[PictureFacts] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    shown: list[tuple[int, ...]] = field(default_factory=list)
    parts: Counter[str] = field(default_factory=Counter)

    def row_name(self, index: int) -> str:
        """What messages call a row."""
        return row_name(self.name, index)

    def stored(self, picture: int) -> Any:
        """The path or the bytes of a picture, read from the dataset again."""
        return self.stored_at(self.places[picture])

    def stored_at(self, place: Place) -> Any:
        """The path or the bytes of the picture at a place."""
        return stored_image(_closed_images(self.dataset[place.row])[place.part])


def scan(
    dataset: Dataset,
    name: str | RowNames,
    number: int,
    max_pixels: int | None,
    visit: Callable[[int, dict[str, Any], RowText], None],
    progress: Progress,
) -> Scan:
    """Read every row once, and give it to `visit` with its number and its words; pictures are inspected meanwhile.

    Only columns of text and pictures are read. A picture stored inside rows is in memory until it was inspected.
    """
    columns = [column for column in (*IMAGE_COLUMNS, *TEXT_COLUMNS, PART_COLUMN) if column in dataset.column_names]
    found = Scan(name, number, close_images(dataset.select_columns(columns)))
    known: dict[str | bytes, int] = {}
    waiting: deque[tuple[int, Future[PictureFacts]]] = deque()
    done = 0
    with ThreadPoolExecutor(thread_count()) as threads:
        for batch in found.dataset.iter(BATCH_ROWS):
            for index, row in enumerate(_rows(batch), start=done):
                found.shown.append(_note_pictures(row, index, found, known, waiting, threads, max_pixels))
                if row.get(PART_COLUMN) is not None:
                    found.parts[str(row[PART_COLUMN])] += 1
                visit(index, row, read_texts(row))
                while len(waiting) > IN_FLIGHT:
                    _collect(waiting, found)
            done = len(found.shown)
            progress(done, len(dataset))
        while waiting:
            _collect(waiting, found)
    return found


def _rows(batch: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(batch, cells, strict=True)) for cells in zip(*batch.values(), strict=True)]


def _note_pictures(
    row: dict[str, Any],
    index: int,
    found: Scan,
    known: dict[str | bytes, int],
    waiting: deque[tuple[int, Future[PictureFacts]]],
    threads: ThreadPoolExecutor,
    max_pixels: int | None,
) -> tuple[int, ...]:
    """Indices of the row's pictures; one that is new is handed to a thread."""
    shown = []
    for part, value in enumerate(_closed_images(row)):
        stored = stored_image(value)
        key = hashlib.blake2b(stored, digest_size=16).digest() if isinstance(stored, bytes) else str(stored)
        if key not in known:
            known[key] = len(found.pictures)
            waiting.append((known[key], threads.submit(inspect_picture, stored, max_pixels)))
            found.pictures.append(PictureFacts())
            found.places.append(Place(found.number, index, part))
        shown.append(known[key])
    return tuple(shown)


def _closed_images(row: dict[str, Any]) -> list[Any]:
    """The row's own pictures, then its rejected ones, less records of no picture."""
    values = [*row_images(row), *rejected_images(row)]
    return [value for value in values if stored_image(value) is not None]


def _collect(waiting: deque[tuple[int, Future[PictureFacts]]], found: Scan) -> None:
    index, future = waiting.popleft()
    found.pictures[index] = future.result()


def thread_count() -> int:
    """How many threads inspect pictures: one for each CPU that this process may use."""
    return min(usable_cpus(), MAX_THREADS)
