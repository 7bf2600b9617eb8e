"""Look at each distinct picture of a dataset once: whether it can be read, its size, and what it looks like."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sightline.data.checking.findings import Place
from sightline.data.checking.rows import TEXT_COLUMNS, RowText, read_texts
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
from sightline.machine import usable_cpus

if TYPE_CHECKING:
    from datasets import Dataset

SIDE, GROUPED = 8, 4
BLOCK, REFERENCES, PAIRS = 128, 16_384, 65_536

# How far a copy's look may lie from the original's, as a root mean square in levels of 255: compression moves the cells
# of small pictures most. Measured on copies at half to one and a half times the size and JPEG quality 50 to 90, the
# 99th percentile is 8.3 at 36 x 36 pixels, 6.9 at 32 x 32, 1.8 at 640 x 480.
FLOOR, PER_SIDE = 4.0, 300.0
REACH = 14.0
ASPECT = 0.04
ROUNDING = 0.02  # of squares in 32 bits


def glance(rgb: Image.Image) -> bytes:
    """The mean colours of 8 x 8 cells, row by row; scaling, formats and compression hardly change them."""
    return rgb.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()


@dataclass(frozen=True)
class Looks:
    """Looks of pictures: colours of cells, (N, C), and widths and heights in pixels, (N, 2)."""

    cells_NC: np.ndarray
    sizes_N2: np.ndarray

    @classmethod
    def of(cls, looks: Sequence[bytes], sizes: Sequence[tuple[int, int]]) -> Looks:
        """The looks that `glance` gave, and the sizes of their pictures."""
        cells_NC = np.frombuffer(b"".join(looks), dtype=np.uint8).reshape(len(looks), 3 * SIDE * SIDE)
        return cls(cells_NC, np.array(sizes, dtype=np.int64).reshape(len(looks), 2))

    def __len__(self) -> int:
        return len(self.cells_NC)


def most_alike(looks: Looks, among: Looks | None = None) -> np.ndarray:
    """For each picture the index of the one that looks most like it, `among` others or, without them, among those
    before it in `looks`; -1 where none is close enough for a copy, (N,).

    Nothing close is missed: means over groups of cells, and over all of them, never differ by more than the cells do,
    so that these are compared first.
    """
    references = looks if among is None else among
    index_N, distance_N = np.full(len(looks), -1), np.full(len(looks), np.inf)
    for query_P, reference_P in _candidates(looks, references):
        if among is None:
            earlier_P = reference_P < query_P
            query_P, reference_P = query_P[earlier_P], reference_P[earlier_P]
        for start in range(0, len(query_P), PAIRS):
            part = slice(start, start + PAIRS)
            _keep_closest(index_N, distance_N, looks, references, query_P[part], reference_P[part])
    return index_N


def _candidates(looks: Looks, references: Looks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs whose groups of cells are close enough, as indices of both, (P,) and (P,)."""
    groups_NG, groups_MG = _groups(looks), _groups(references)
    reach_N, reach_M = _reach(looks.sizes_N2), _reach(references.sizes_N2)
    farthest = max(reach_N.max(initial=0), reach_M.max(initial=0))
    mean_N, mean_M = groups_NG.mean(1), groups_MG.mean(1)
    order_N, order_M = np.argsort(mean_N, kind="stable"), np.argsort(mean_M, kind="stable")
    sorted_M = mean_M[order_M]
    for start in range(0, len(order_N), BLOCK):
        block = order_N[start : start + BLOCK]
        low = np.searchsorted(sorted_M, mean_N[block[0]] - farthest)
        high = np.searchsorted(sorted_M, mean_N[block[-1]] + farthest, side="right")
        for first in range(low, high, REFERENCES):
            near = order_M[first : min(first + REFERENCES, high)]
            reach_NM = np.maximum(reach_N[block, None], reach_M[near])
            squared_NM = _squared_distances(groups_NG[block], groups_MG[near]) / groups_NG.shape[1]
            query_P, reference_P = np.nonzero(squared_NM <= reach_NM**2 + ROUNDING)
            yield block[query_P], near[reference_P]


def _groups(looks: Looks) -> np.ndarray:
    """Mean colours of groups of cells, less the middle of the range, so that their squares stay precise, (N, G)."""
    width = SIDE // GROUPED
    cells = looks.cells_NC.reshape(-1, GROUPED, width, GROUPED, width, 3)
    return cells.mean((2, 4), dtype=np.float32).reshape(-1, 3 * GROUPED**2) - np.float32(127.5)


def _squared_distances(groups_NG: np.ndarray, groups_MG: np.ndarray) -> np.ndarray:
    squares_N, squares_M = (groups_NG**2).sum(1), (groups_MG**2).sum(1)
    return squares_N[:, None] + squares_M[None, :] - 2 * groups_NG @ groups_MG.T


def _keep_closest(
    index_N: np.ndarray,
    distance_N: np.ndarray,
    looks: Looks,
    references: Looks,
    query_P: np.ndarray,
    other_P: np.ndarray,
) -> None:
    """Put each pair that may be copies into `index_N` and `distance_N`, where it is the closest so far."""
    difference_PC = looks.cells_NC[query_P].astype(np.float32) - references.cells_NC[other_P]
    distance_P = np.sqrt((difference_PC**2).mean(1))
    sizes_P2, others_P2 = looks.sizes_N2[query_P], references.sizes_N2[other_P]
    close_P = (distance_P <= np.maximum(_reach(sizes_P2), _reach(others_P2))) & _same_shape(sizes_P2, others_P2)
    query_P, other_P, distance_P = query_P[close_P], other_P[close_P], distance_P[close_P]
    order_P = np.lexsort((other_P, distance_P))
    first_P = order_P[np.unique(query_P[order_P], return_index=True)[1]]  # of each query its closest
    better_P = first_P[distance_P[first_P] < distance_N[query_P[first_P]]]
    index_N[query_P[better_P]], distance_N[query_P[better_P]] = other_P[better_P], distance_P[better_P]


def _reach(sizes_N2: np.ndarray) -> np.ndarray:
    """How far from the original a copy of this size may look, (N,)."""
    return np.minimum(FLOOR + PER_SIDE / np.sqrt(sizes_N2.prod(1)), REACH).astype(np.float32)


def _same_shape(sizes_P2: np.ndarray, others_P2: np.ndarray) -> np.ndarray:
    """Whether width over height are alike, but for rounding to whole pixels."""
    smallest_P = np.minimum(sizes_P2.min(1), others_P2.min(1))
    ratio_P = np.log(sizes_P2[:, 0] / sizes_P2[:, 1]) - np.log(others_P2[:, 0] / others_P2[:, 1])
    return np.abs(ratio_P) <= ASPECT + 1 / smallest_P


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
