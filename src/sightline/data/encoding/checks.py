"""Check every row before training: images open, placeholders match, answers exist and fit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.data.encoding.lengths import ReadRows, Track, read_rows, untracked
from sightline.data.encoding.rendering import require_row_words
from sightline.data.encoding.row_pictures import picture_columns
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.pictures.images import image_size, rejected_images, row_images, storage_key, stored_image
from sightline.data.sources.bad_rows import OFFER, listed, say_once
from sightline.data.sources.datasets import RowNames, row_name
from sightline.data.tables import each_row
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def check_rows(
    dataset: Dataset,
    source: str | RowNames,
    encoder: SequenceEncoder,
    preferences: bool,
    track: Track = untracked,
    skip_bad_rows: bool = False,
) -> ReadRows:
    """What a dataset of TRL's columns (images closed) holds, after every row was read as training will read it.

    Raises:
        DataError: names the first bad rows and how many there are; with `skip_bad_rows` only where no row is left.
    """
    read = read_rows(dataset, source, encoder, preferences, track, thorough=True)
    _refuse(read.problems, len(read), skip_bad_rows)
    return read


def check_words(
    dataset: Dataset, source: str | RowNames, preferences: bool, text_field: str, skip_bad_rows: bool = False
) -> dict[int, str]:
    """What is wrong with rows of TRL's columns without pictures, which TRL itself turns into sequences, by index.

    Raises:
        DataError: as `check_rows`, for rows that say nothing.
    """
    problems: dict[int, str] = {}
    for index, row in enumerate(each_row(dataset)):
        try:
            require_row_words(row, preferences, text_field, row_name(source, index))
        except DataError as error:
            problems[index] = str(error)
    _refuse(problems, len(dataset), skip_bad_rows)
    return problems


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


def _refuse(problems: dict[int, str], rows: int, skip_bad_rows: bool) -> None:
    if problems and (not skip_bad_rows or len(problems) == rows):
        raise DataError(listed(list(problems.values())))


def check_heads(dataset: Dataset, source: str) -> None:
    """Hold the head of every distinct picture of a dataset (images closed) against what is opened here.

    Raises:
        DataError: names the first rows of those that are refused, and how many there are.
    """
    problems: list[str] = []
    seen: set[str] = set()
    for index, row in enumerate(each_row(dataset.select_columns(picture_columns(dataset)))):
        for value in itertools.chain(row_images(row), rejected_images(row)):
            key = storage_key(value)
            if key in seen:
                continue
            seen.add(key)
            try:
                image_size(stored_image(value), row_name(source, index))
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise DataError(listed(problems))
