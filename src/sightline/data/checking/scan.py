"""Scan a dataset once, in threads: every row is read once, every distinct image decoded and inspected once."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image

from sightline.data.checking.findings import Place
from sightline.data.checking.looks import glance
from sightline.data.checking.texts import TEXT_COLUMNS, RowText, read_texts
from sightline.data.pictures.columns import close_images
from sightline.data.pictures.images import (
    IMAGE_COLUMNS,
    content_key,
    rejected_images,
    remembered_refusal,
    row_images,
    stored_image,
    upright_rgb,
)
from sightline.data.pictures.opener import PictureError, PixelsError, opened_picture
from sightline.data.sources.datasets import RowNames, row_name
from sightline.limits import usable_cpus

if TYPE_CHECKING:
    from datasets import Dataset

LARGE_PIXELS = 16_000_000
DRAFT_SIDE = 512
STRIP_RATIO = 100  # Qwen2-VL's processor refuses 200

_ONE_LARGE = threading.Lock()  # a picture of 89 megapixels takes 360 MB while it is open


@dataclass(frozen=True)
class PictureFacts:
    """What was found in one picture.

    Attributes:
        problem: the kind of finding that keeps it from training, or empty.
        reason: the problem in words.
        traits: kinds of findings that leave it readable, each with its detail.
        width: in pixels, upright; 0 where nothing could be read.
        content: equal for equal pixels of the same size.
        look: its `glance`; empty where the pixels could not be read.
    """

    problem: str = ""
    reason: str = ""
    traits: tuple[tuple[str, str], ...] = ()
    width: int = 0
    height: int = 0
    format: str = ""
    content: str = ""
    look: bytes = b""


def inspect_picture(stored: Any, max_pixels: int | None = None) -> PictureFacts:
    """What a picture is, by its path or its encoded bytes; its pixels are decoded once, and not at all over the limit.

    A large JPEG is decoded at a fraction of its size, which reads the whole file and so finds a cut one.
    """
    if isinstance(stored, str) and "://" in stored:
        return PictureFacts("remote", stored)
    try:
        with opened_picture(stored, max_pixels) as image:
            width, height = image.size
            found = PictureFacts(width=width, height=height, format=image.format or "")
            try:
                with _ONE_LARGE if width * height > LARGE_PIXELS else nullcontext():
                    return _read(image, found)
            except PixelsError as error:
                return PictureFacts("wide_values", str(error), (), width, height, found.format)
    except PictureError as error:
        said = remembered_refusal(stored) if isinstance(stored, bytes) else ""  # of a row that names no picture at all
        return PictureFacts(error.kind, said or error.reason, (), error.width, error.height, error.format)


def _read(image: Image.Image, found: PictureFacts) -> PictureFacts:
    """All that is to know of a picture whose head is good; raises whatever Pillow does where its pixels are not."""
    width, height = found.width, found.height
    orientation = image.getexif().get(0x0112, 1)
    traits = [("animated", f"{found.format} of several frames")] if getattr(image, "is_animated", False) else []
    if image.mode == "CMYK":
        traits.append(("cmyk", found.format))
    if image.mode.startswith("I;16"):
        traits.append(("sixteen_bit", image.mode))
    if max(width, height) > STRIP_RATIO * min(width, height):
        traits.append(("strip", f"{width} x {height} pixels"))
    if 2 <= orientation <= 8:
        traits.append(("turned", f"orientation {orientation}"))
    image.draft("RGB", (DRAFT_SIDE, DRAFT_SIDE))
    rgb = upright_rgb(image)
    traits += _transparency(image, rgb)
    if orientation >= 5:  # these lie on their side
        width, height = height, width
    content = f"{width}x{height} {content_key(rgb)}"
    return PictureFacts("", "", tuple(traits), width, height, found.format, content, glance(rgb))


def _transparency(image: Image.Image, rgb: Image.Image) -> list[tuple[str, str]]:
    """Whether some pixels are transparent, and whether the picture has one colour on white."""
    if not image.has_transparency_data:
        return []
    opacities = image.convert("RGBA").getchannel("A").histogram()
    pixels = sum(opacities)
    if opacities[255] == pixels:
        return []
    colours = rgb.getcolors(1)  # None where there is more than one
    if colours and max(opacities) < pixels:
        return [("vanishing", f"all of it is rgb{colours[0][1]}")]
    return [("transparent", f"mode {image.mode}")]


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
