"""Check every row before training: images open, placeholders match, answers exist and fit."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sightline.data.encoding.fit import DROPPING
from sightline.data.encoding.lengths import Kind, Track, table_of_kinds
from sightline.data.encoding.preferences import answer_pairs, require_difference, require_other_images
from sightline.data.encoding.rendering import require_row_words
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.pictures.images import (
    IMAGE_COLUMNS,
    image_size,
    read_whole,
    rejected_images,
    row_images,
    stored_image,
)
from sightline.data.sources.bad_rows import OFFER, listed, say_once
from sightline.data.sources.datasets import RowNames, row_name
from sightline.errors import DataError, TooLongError

if TYPE_CHECKING:
    from datasets import Dataset

Key = str | bytes
THREADS = 4  # Pillow decodes outside Python's lock


@dataclass(frozen=True)
class DataSummary:
    """What a dataset holds.

    Attributes:
        rows: rows read.
        images: distinct images, as stored, that can be read.
        longest: tokens of the longest sequence.
        problems: of rows that cannot be used, by their index in the dataset.
    """

    rows: int
    images: int
    longest: int
    problems: Mapping[int, str] = field(default_factory=dict)


def check_rows(
    dataset: Dataset,
    source: str | RowNames,
    encoder: SequenceEncoder,
    preferences: bool,
    track: Track = lambda items, total, title: items,
    skip_bad_rows: bool = False,
) -> DataSummary:
    """What a dataset of TRL's columns (images closed) holds, after every row was read as training will read it.

    `track` may wrap the loops to show progress; it is given the items, their number and a title.

    Raises:
        DataError: names the first bad rows and how many there are; with `skip_bad_rows` only where no row is left.
    """
    pictures = _pictures(dataset)
    stored = [tuple([_key(value) for value in group] for group in _groups(row)) for row in _rows(pictures)]
    first = _first_places(stored)
    sizes, unread = _sizes(first, pictures, source, track)
    table = table_of_kinds(
        encoder, {kind for groups in stored for one in groups for kind in _kinds(encoder, one, sizes)}
    )
    problems: dict[int, str] = {}
    too_long: dict[int, str] = {}
    longest = 0
    for index, row in enumerate(track(dataset, len(dataset), "Reading rows")):
        name = row_name(source, index)
        broken = next((key for group in stored[index] for key in group if key in unread), None)
        if broken is not None:
            problems[index] = unread[broken].replace(row_name(source, first[broken][0]), name, 1)
            continue
        try:
            own, rejected = (table.of(_kinds(encoder, group, sizes), name) for group in stored[index])
            if preferences:
                _check_pairs(row, name)
            shown = (own, rejected) if preferences and rejected else (own,)
            longest = max(longest, encoder.read(row, table.table, shown, preferences, name).length)
        except TooLongError as error:
            too_long[index] = str(error)
            longest = max(longest, error.tokens)
        except DataError as error:
            problems[index] = str(error)
    if encoder.settings.length_policy not in DROPPING or len(too_long) == len(dataset):
        problems = dict(sorted({**problems, **too_long}.items()))
    return _summary(len(dataset), len(sizes), longest, problems, skip_bad_rows)


def check_words(
    dataset: Dataset, source: str | RowNames, preferences: bool, text_field: str, skip_bad_rows: bool = False
) -> DataSummary:
    """What a dataset of TRL's columns without pictures holds, whose rows TRL itself turns into sequences.

    Raises:
        DataError: as `check_rows`, for rows that say nothing.
    """
    problems: dict[int, str] = {}
    for index, row in enumerate(dataset):
        try:
            require_row_words(row, preferences, text_field, row_name(source, index))
        except DataError as error:
            problems[index] = str(error)
    return _summary(len(dataset), 0, 0, problems, skip_bad_rows)


def stream_words(stream: Any, source: str, preferences: bool, text_field: str, skip_bad_rows: bool) -> Any:
    """A stream of TRL's columns without pictures, whose rows that say nothing raise DataError, or are left out."""
    return stream.filter(_Words(source, preferences, text_field, skip_bad_rows), with_indices=True)


@dataclass(frozen=True)
class _Words:
    """Whether a stream's row says something; a record, which a worker started anew can be given."""

    source: str
    preferences: bool
    text_field: str
    skip_bad_rows: bool

    def __call__(self, row: dict[str, Any], index: int) -> bool:
        try:
            require_row_words(row, self.preferences, self.text_field, row_name(self.source, index))
        except DataError as error:
            if not self.skip_bad_rows:
                raise DataError(f"{error} {OFFER}") from error
            say_once(f"Left out: {error}")
            return False
        return True


def _summary(rows: int, images: int, longest: int, problems: dict[int, str], skip_bad_rows: bool) -> DataSummary:
    if problems and (not skip_bad_rows or len(problems) == rows):
        raise DataError(listed(list(problems.values())))
    return DataSummary(rows, images, longest, problems)


def check_heads(dataset: Dataset, source: str) -> None:
    """Hold the head of every distinct picture of a dataset (images closed) against what is opened here.

    Raises:
        DataError: names the first rows of those that are refused, and how many there are.
    """
    problems: list[str] = []
    seen: set[Key] = set()
    for index, row in enumerate(_rows(_pictures(dataset))):
        for value in itertools.chain(*_groups(row)):
            key = _key(value)
            if key in seen:
                continue
            seen.add(key)
            try:
                image_size(stored_image(value), row_name(source, index))
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise DataError(listed(problems))


def _check_pairs(row: dict[str, Any], name: str) -> None:
    """Raise DataError for a row whose answers or images cannot be held against each other."""
    require_other_images(row, name)
    for pair in answer_pairs(row, name):
        require_difference(pair, name)


def _pictures(dataset: Dataset) -> Dataset:
    return dataset.select_columns([column for column in IMAGE_COLUMNS if column in dataset.column_names])


def _rows(pictures: Dataset) -> Iterator[dict[str, Any]]:
    """The rows of the columns of pictures, of which one is in memory at once; empty ones where there are no columns."""
    if not pictures.column_names:
        return iter([{}] * len(pictures))
    return iter(pictures)


def _first_places(stored: Sequence[tuple[list[Key], ...]]) -> dict[Key, tuple[int, int]]:
    """The row and the place in it where each image stands first, in the order of rows, as problems are told."""
    first: dict[Key, tuple[int, int]] = {}
    for index, groups in enumerate(stored):
        for place, key in enumerate(itertools.chain(*groups)):
            first.setdefault(key, (index, place))
    return first


def _groups(row: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """A row's own images, and its rejected ones."""
    return row_images(row), rejected_images(row)


def _key(value: Any) -> Key:
    """The path of an image, or a hash of its bytes, which are not kept."""
    stored = stored_image(value)
    return hashlib.blake2b(stored, digest_size=16).digest() if isinstance(stored, bytes) else stored


def _kinds(encoder: SequenceEncoder, group: list[Key], sizes: dict[Key, tuple[int, int]]) -> list[Kind]:
    """What decides the number of tokens of each image that could be read: whether it shares its row, and its size."""
    beside = encoder.is_beside(group)
    return [(beside, sizes[key]) for key in group if key in sizes]


def _sizes(
    first: dict[Key, tuple[int, int]], pictures: Dataset, source: str | RowNames, track: Callable[..., Iterable[Any]]
) -> tuple[dict[Key, tuple[int, int]], dict[Key, str]]:
    """Width and height of each stored image that can be read whole, and why the others cannot.

    Args:
        first: the row and the place in it where each stands first.
    """

    def read(item: tuple[Key, tuple[int, int]]) -> tuple[Key, tuple[int, int] | str]:
        key, (index, place) = item
        try:
            stored = stored_image([*itertools.chain(*_groups(pictures[index]))][place])
            return key, read_whole(stored, row_name(source, index))
        except DataError as error:
            return key, str(error)

    sizes: dict[Key, tuple[int, int]] = {}
    unread: dict[Key, str] = {}
    with ThreadPoolExecutor(THREADS) as threads:
        for key, found in track(threads.map(read, first.items()), len(first), "Reading images"):
            if isinstance(found, str):
                unread[key] = found
            else:
                sizes[key] = found
    return sizes, unread
