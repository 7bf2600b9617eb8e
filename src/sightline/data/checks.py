"""Read every row before any training hour: images open, placeholders match, answers are there and fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image

from sightline.data.images import open_image
from sightline.data.processors import ImageTable, process_images
from sightline.data.sequences import SequenceEncoder, row_images
from sightline.data.sources import row_name
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN_PROBLEMS = 5
SIZES_PER_CALL = 64
THREADS = 4  # Pillow decodes outside Python's lock


@dataclass(frozen=True)
class DataSummary:
    """What a clean dataset holds.

    Attributes:
        rows: rows read.
        images: distinct images, as stored.
        longest: tokens of the longest sequence.
    """

    rows: int
    images: int
    longest: int


def check_rows(
    dataset: Dataset,
    source: str,
    encoder: SequenceEncoder,
    preferences: bool,
    track: Callable[[Iterable[Any], int, str], Iterable[Any]] = lambda items, total, title: items,
) -> DataSummary:
    """What a dataset of TRL's columns (images closed) holds, after every row was read as training will read it.

    `track` may wrap the loops to show progress; it is given the items, their number and a title.

    Raises:
        DataError: names the first bad rows and how many there are.
    """
    problems: list[str] = []
    stored = {index: [_stored(value) for value in row_images(row)] for index, row in _image_rows(dataset)}
    first_row = {key: index for index, keys in reversed(stored.items()) for key in keys}
    sizes = _sizes(first_row, source, problems, track)
    kinds = {(encoder.is_beside(keys), sizes[key]) for keys in stored.values() for key in keys if key in sizes}
    table, class_of = _table_of_sizes(encoder, sorted(kinds))
    check = encoder.check_preference if preferences else encoder.check_sft
    longest = 0
    for index, row in enumerate(track(dataset, len(dataset), "Reading rows")):
        if any(key not in sizes for key in stored[index]):
            continue  # its image is among the problems already
        try:
            beside = encoder.is_beside(stored[index])
            shown = tuple(class_of[beside, sizes[key]] for key in stored[index])
            longest = max(longest, check(row, table, shown, row_name(source, index)))
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        raise DataError("\n".join(problems[:SHOWN_PROBLEMS] + ([f"... and {more} more rows."] if more > 0 else [])))
    return DataSummary(len(dataset), len(sizes), longest)


def _image_rows(dataset: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = [column for column in ("image", "images") if column in dataset.column_names]
    return enumerate(dataset.select_columns(columns))


def _stored(value: Any) -> str | bytes:
    """The path or the bytes of a closed image."""
    if isinstance(value, dict):
        return value.get("bytes") or str(value["path"])
    return value


def _sizes(
    first_row: dict[str | bytes, int], source: str, problems: list[str], track: Callable[..., Iterable[Any]]
) -> dict[str | bytes, tuple[int, int]]:
    """Width and height of each stored image that can be read whole; adds the others to `problems`."""

    def read(item: tuple[str | bytes, int]) -> tuple[str | bytes, tuple[int, int] | str]:
        key, index = item
        try:
            return key, _read_whole(key, row_name(source, index))
        except DataError as error:
            return key, str(error)

    sizes: dict[str | bytes, tuple[int, int]] = {}
    with ThreadPoolExecutor(THREADS) as threads:
        for key, found in track(threads.map(read, first_row.items()), len(first_row), "Reading images"):
            if isinstance(found, str):
                problems.append(found)
            else:
                sizes[key] = found
    return sizes


def _read_whole(key: str | bytes, name: str) -> tuple[int, int]:
    """Width and height as training sees them; a JPEG is decoded at an eighth of its size, which finds a cut file."""
    try:
        with Image.open(BytesIO(key) if isinstance(key, bytes) else key) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientation: 5 to 8 lie on their side
            image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
            image.load()
    except Exception:  # whatever Pillow raises, open_image says it with file and row
        return open_image(key, name).size
    return (height, width) if turned else (width, height)


def _table_of_sizes(
    encoder: SequenceEncoder, kinds: list[tuple[bool, tuple[int, int]]]
) -> tuple[ImageTable, dict[tuple[bool, tuple[int, int]], int]]:
    """What a placeholder becomes for an image of each kind (whether it stands beside others, size), and the index of
    each kind in that table."""
    expansions: list[Any] = []
    for start in range(0, len(kinds), SIZES_PER_CALL):
        part = kinds[start : start + SIZES_PER_CALL]
        blanks = [Image.new("RGB", size) for _, size in part]
        expansions += process_images(encoder.processor, blanks, [beside for beside, _ in part]).expansions
    table = ImageTable({}, tuple(expansions), (0,) * len(expansions))
    return table, {kind: index for index, kind in enumerate(kinds)}
