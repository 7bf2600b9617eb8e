"""Read every row before any training hour: images open, placeholders match, answers are there and fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.data.fit import DROPPING
from sightline.data.images import IMAGE_COLUMNS, image_size, read_whole, rejected_images, row_images, stored_image
from sightline.data.lengths import Kind, Track, first_of, table_of_kinds
from sightline.data.preferences import answer_pairs, require_difference, require_other_images
from sightline.data.sequences import SequenceEncoder
from sightline.data.sources import RowNames, row_name
from sightline.errors import DataError, TooLongError

if TYPE_CHECKING:
    from datasets import Dataset

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
    source: str | RowNames,
    encoder: SequenceEncoder,
    preferences: bool,
    track: Track = lambda items, total, title: items,
) -> DataSummary:
    """What a dataset of TRL's columns (images closed) holds, after every row was read as training will read it.

    `track` may wrap the loops to show progress; it is given the items, their number and a title.

    Raises:
        DataError: names the first bad rows and how many there are.
    """
    problems: list[str] = []
    stored = {index: _stored_groups(row) for index, row in _image_rows(dataset)}
    first_row = {key: index for index, groups in reversed(stored.items()) for group in groups for key in group}
    first_row = dict(sorted(first_row.items(), key=lambda item: item[1]))  # problems are told from the first row on
    sizes = _sizes(first_row, source, problems, track)
    kinds = {kind for groups in stored.values() for group in groups for kind in _kinds(encoder, group, sizes)}
    table, class_of = table_of_kinds(encoder, kinds)
    longest = 0
    too_long: list[str] = []
    for index, row in enumerate(track(dataset, len(dataset), "Reading rows")):
        if any(key not in sizes for group in stored[index] for key in group):
            continue  # its image is among the problems already
        try:
            name = row_name(source, index)
            own, rejected = (tuple(class_of[kind] for kind in _kinds(encoder, group, sizes)) for group in stored[index])
            if preferences:
                _check_pairs(row, name)
            shown = (own, rejected) if preferences and rejected else (own,)
            longest = max(longest, encoder.read(row, table, shown, preferences, name).length)
        except TooLongError as error:
            too_long.append(str(error))
            longest = max(longest, error.tokens)
        except DataError as error:
            problems.append(str(error))
    if encoder.settings.length_policy not in DROPPING or len(too_long) == len(dataset):
        problems += too_long
    if problems:
        raise DataError(first_of(problems))
    return DataSummary(len(dataset), len(sizes), longest)


def check_heads(dataset: Dataset, source: str) -> None:
    """Hold the head of every distinct picture of a dataset (images closed) against what is opened here.

    Raises:
        DataError: names the first rows of those that are refused, and how many there are.
    """
    problems: list[str] = []
    seen: set[str | bytes] = set()
    for index, row in _image_rows(dataset):
        for stored in (stored for group in _stored_groups(row) for stored in group):
            key = hashlib.blake2b(stored, digest_size=16).digest() if isinstance(stored, bytes) else stored
            if key in seen:
                continue
            seen.add(key)
            try:
                image_size(stored, row_name(source, index))
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise DataError(first_of(problems))


def _check_pairs(row: dict[str, Any], name: str) -> None:
    """Raise DataError for a row whose answers or images cannot be held against each other."""
    require_other_images(row, name)
    for pair in answer_pairs(row, name):
        require_difference(pair, name)


def _image_rows(dataset: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = [column for column in IMAGE_COLUMNS if column in dataset.column_names]
    return enumerate(dataset.select_columns(columns))


def _stored_groups(row: dict[str, Any]) -> tuple[list[str | bytes], list[str | bytes]]:
    """The paths or the bytes of a row's own images, and of its rejected ones."""
    own, rejected = row_images(row), rejected_images(row)
    return [stored_image(value) for value in own], [stored_image(value) for value in rejected]


def _kinds(encoder: SequenceEncoder, group: list[str | bytes], sizes: dict[str | bytes, tuple[int, int]]) -> list[Kind]:
    """What decides the number of tokens of each image that could be read: whether it shares its row, and its size."""
    beside = encoder.is_beside(group)
    return [(beside, sizes[key]) for key in group if key in sizes]


def _sizes(
    first_row: dict[str | bytes, int], source: str | RowNames, problems: list[str], track: Callable[..., Iterable[Any]]
) -> dict[str | bytes, tuple[int, int]]:
    """Width and height of each stored image that can be read whole; adds the others to `problems`."""

    def read(item: tuple[str | bytes, int]) -> tuple[str | bytes, tuple[int, int] | str]:
        key, index = item
        try:
            return key, read_whole(key, row_name(source, index))
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
