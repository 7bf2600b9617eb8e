"""The images of rows, each distinct one looked at once; and what a placeholder becomes for an image of some size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from sightline.data.encoding.processors import Expansion, process_images, refusal
from sightline.data.pictures.images import IMAGE_COLUMNS, rejected_images, row_images, storage_key, stored_image
from sightline.data.sources.datasets import RowNames, row_name
from sightline.data.tables import each_row
from sightline.errors import DataError, SightlineError

if TYPE_CHECKING:
    from datasets import Dataset

THREADS = 4  # Pillow decodes outside Python's lock

Size = tuple[int, int]


@dataclass(frozen=True)
class RowPictures:
    """The images of rows by their `storage_key`.

    Attributes:
        groups: of each row its own images, and its rejected ones.
        sizes: width and height of each distinct image that can be read.
        unread: why the others cannot be, told of the row `first` has.
        first: the row where each stands first.
    """

    groups: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]
    sizes: dict[str, Size]
    unread: dict[str, str]
    first: dict[str, int]

    def problem(self, index: int, source: str | RowNames) -> str | None:
        """Why an image of a row cannot be read, told of this row; None where all can."""
        broken = next((key for group in self.groups[index] for key in group if key in self.unread), None)
        if broken is None:
            return None
        return self.unread[broken].replace(row_name(source, self.first[broken]), row_name(source, index), 1)


def look_at_pictures(
    dataset: Dataset,
    source: str | RowNames,
    measure: Callable[[Any, str], Size],
    track: Callable[[Iterable[Any], int, str], Iterable[Any]],
) -> RowPictures:
    """The images of a dataset whose images are closed.

    Args:
        measure: width and height of a stored image of a row that is named; raises DataError where it cannot be read.
        track: may show progress; it is given the items, their number and a title.
    """
    names = picture_columns(dataset)
    if not names:
        return RowPictures([((), ())] * len(dataset), {}, {}, {})
    columns = dataset.select_columns(names)
    groups, places = [], dict[str, tuple[int, int]]()
    for index, row in enumerate(each_row(columns)):
        both = tuple(tuple(map(storage_key, group)) for group in (row_images(row), rejected_images(row)))
        groups.append((both[0], both[1]))
        for place, key in enumerate(itertools.chain(*both)):
            places.setdefault(key, (index, place))

    def read(item: tuple[str, tuple[int, int]]) -> tuple[str, Size | str]:
        key, (index, place) = item
        row = columns[index]
        try:
            return key, measure(stored_image([*row_images(row), *rejected_images(row)][place]), row_name(source, index))
        except DataError as error:
            return key, str(error)

    sizes: dict[str, Size] = {}
    unread: dict[str, str] = {}
    with ThreadPoolExecutor(THREADS) as threads:
        for key, found in track(threads.map(read, places.items()), len(places), "Reading images"):
            if isinstance(found, str):
                unread[key] = found
            else:
                sizes[key] = found
    return RowPictures(groups, sizes, unread, {key: index for key, (index, _) in places.items()})


def image_keys(dataset: Dataset) -> list[str]:
    """For each row what tells its own images from those of others; rows without images stay apart."""
    rows = each_row(dataset.select_columns(picture_columns(dataset)))
    return [group_key(map(storage_key, row_images(row))) or f"row {index}" for index, row in enumerate(rows)]


def group_key(keys: Iterable[str]) -> str:
    """What tells the images of a row from those of others; empty where there are none."""
    return "\n".join(keys)


def picture_columns(dataset: Dataset) -> list[str]:
    """The columns that hold images."""
    return [column for column in IMAGE_COLUMNS if column in dataset.column_names]


SIZES_PER_CALL = 8  # blank pictures at full size, held at once

Kind = tuple[bool, tuple[int, int]]  # whether the image stands beside others in its row, and its size


class KnownKinds:
    """The kinds of images that a processor has been asked about."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._expansions: dict[Kind, Expansion] = {}
        self._refused: dict[Kind, str] = {}

    def learn(self, kinds: Iterable[Kind]) -> None:
        """Asks for those that are not known yet."""
        new = sorted(set(kinds) - self._expansions.keys() - self._refused.keys())  # those beside others are the last
        for start in range(0, len(new), SIZES_PER_CALL):
            self._read(new[start : start + SIZES_PER_CALL])

    def expansions(self, kinds: Iterable[Kind], name: str) -> tuple[Expansion, ...]:
        """What the placeholders of images of a row become, whose kinds were learnt.

        Raises:
            DataError: the processor takes no image of such a size.
        """
        kinds = tuple(kinds)
        for kind in kinds:
            if kind in self._refused:
                raise DataError(refusal(name, kind[1], self._refused[kind]))
        return tuple(self._expansions[kind] for kind in kinds)

    def _read(self, kinds: list[Kind]) -> None:
        blanks = [Image.new("RGB", size) for _, size in kinds]
        try:
            table = process_images(self._processor, blanks, [beside for beside, _ in kinds])
        except SightlineError:  # of the model, whatever the size
            raise
        except Exception as error:  # a processor may raise anything for a size that it does not take
            if len(kinds) > 1:
                for kind in kinds:
                    self._read([kind])
                return
            self._refused[kinds[0]] = str(error) or type(error).__name__
        else:
            self._expansions.update(zip(kinds, table.expansions, strict=True))
