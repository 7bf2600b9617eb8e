"""Read every row once before training: its images, placeholders and answers, and its tokens from image sizes alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data.encoding.fit import DROPPING, TokenCounts
from sightline.data.encoding.preferences import answer_pairs, require_difference, require_other_images
from sightline.data.encoding.rendering import require_row_words
from sightline.data.encoding.row_pictures import Kind, RowPictures, group_key, look_at_pictures, picture_columns
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.pictures.images import (
    image_size,
    read_whole,
    rejected_images,
    row_images,
    storage_key,
    stored_image,
)
from sightline.data.sources.bad_rows import OFFER, listed, say_once
from sightline.data.sources.datasets import RowNames, row_name
from sightline.data.tables import each_row
from sightline.errors import DataError, TooLongError

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN_PROBLEMS = 5  # numbers of rows that were dropped as they should be

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


def untracked(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
    """The items, with no progress shown."""
    return items


@dataclass(frozen=True)
class ReadRows:
    """What reading the rows of a dataset found.

    Attributes:
        encoder: what read them, with the texts that it remembers.
        preferences: whether rows hold a chosen and a rejected answer.
        shown: of each row the kinds of its images, then of those that its chosen answers are held against.
        keys: of each row what tells its own images from those of others, empty where it has none.
        counts_N: the fields of `TokenCounts` of each row, zeros where it cannot be used.
        too_long: rows for which `max_length` has no place.
        broken: what is wrong with others.
        images: distinct images, as stored, that can be read.
    """

    encoder: SequenceEncoder
    preferences: bool
    shown: Sequence[tuple[tuple[Kind, ...], ...]]
    keys: Sequence[str]
    counts_N: np.ndarray
    too_long: Mapping[int, TooLongError]
    broken: Mapping[int, str]
    images: int

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def kept(self) -> list[int]:
        """Indices of the rows that train."""
        return [index for index in range(len(self)) if index not in self.too_long and index not in self.broken]

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence before anything was cut."""
        return max([int(self.counts_N["length"].max(initial=0)), *(error.tokens for error in self.too_long.values())])

    @property
    def cut(self) -> int:
        """How many rows lost the end of their answer or text of their prompt."""
        limit = self.encoder.settings.max_length
        return 0 if limit is None else int((self.counts_N["length"] > limit).sum())

    @property
    def problems(self) -> dict[int, str]:
        """What is wrong with rows that cannot be used: those too long, too, where they are not dropped, or all are."""
        drops = self.encoder.settings.length_policy in DROPPING and len(self.too_long) < len(self)
        too_long = {} if drops else {index: str(error) for index, error in self.too_long.items()}
        return dict(sorted({**self.broken, **too_long}.items()))

    @property
    def image_keys(self) -> list[str]:
        """Of each row what tells its images from those of others; rows without images stay apart."""
        return [key or f"row {index}" for index, key in enumerate(self.keys)]

    def images_of(self, index: int) -> int:
        """How many images the sequences of a row show."""
        return sum(map(len, self.shown[index]))

    def select(self, indices: Sequence[int]) -> ReadRows:
        """The same of some of the rows, in their order; only what can be used may be there twice."""
        place_of = {index: place for place, index in enumerate(indices)}
        return replace(
            self,
            shown=[self.shown[index] for index in indices],
            keys=[self.keys[index] for index in indices],
            counts_N=self.counts_N[list(indices)],
            too_long={place_of[index]: error for index, error in self.too_long.items() if index in place_of},
            broken={place_of[index]: why for index, why in self.broken.items() if index in place_of},
        )


def read_rows(
    dataset: Dataset,
    source: str | RowNames,
    encoder: SequenceEncoder,
    preferences: bool,
    track: Track = untracked,
    thorough: bool = False,
) -> ReadRows:
    """Every row of a dataset of TRL's columns (images closed) as training will read it, without opening its images.

    Args:
        track: may wrap the loops to show progress; it is given the items, their number and a title.
        thorough: the pixels of each distinct image are read, too, and the answers of a pair must differ.
    """
    pictures = look_at_pictures(dataset, source, read_whole if thorough else image_size, track)
    held_against = preferences and encoder.settings.perturbation is not None
    known: dict[Any, Any] = {}  # rows of like images share one record of them
    shown = [
        known.setdefault(kinds, kinds)
        for kinds in (_shown(encoder, pictures, groups, held_against) for groups in pictures.groups)
    ]
    encoder.kinds.learn(kind for row in known for group in row for kind in group)
    counts_N = np.zeros(len(dataset), dtype=[(name, np.int64) for name in TokenCounts._fields])
    too_long: dict[int, TooLongError] = {}
    broken: dict[int, str] = {}
    rows = each_row(dataset.remove_columns(picture_columns(dataset)))
    for index, row in enumerate(track(rows, len(dataset), "Reading rows")):
        name = row_name(source, index)
        try:
            if problem := pictures.problem(index, source):
                raise DataError(problem)
            if preferences:
                _check_pairs(row, pictures.groups[index], name, thorough)
            counts_N[index] = encoder.count(row, shown[index], preferences, name)
        except TooLongError as error:
            too_long[index] = error
        except DataError as error:
            broken[index] = str(error)
    keys = [group_key(own) for own, _ in pictures.groups]
    return ReadRows(encoder, preferences, shown, keys, counts_N, too_long, broken, len(pictures.sizes))


def joined(parts: Sequence[ReadRows]) -> ReadRows:
    """What was found in several datasets, at least one, as if they had been read one after another."""
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    placed = list(zip(starts, parts, strict=False))
    return replace(
        parts[0],
        shown=[shown for part in parts for shown in part.shown],
        keys=[key for part in parts for key in part.keys],
        counts_N=np.concatenate([part.counts_N for part in parts]),
        too_long={start + index: error for start, part in placed for index, error in part.too_long.items()},
        broken={start + index: why for start, part in placed for index, why in part.broken.items()},
        images=sum(part.images for part in parts),
    )


def _shown(
    encoder: SequenceEncoder, pictures: RowPictures, groups: tuple[tuple[str, ...], tuple[str, ...]], held_against: bool
) -> tuple[tuple[Kind, ...], ...]:
    """The kinds of a row's images, as far as they can be read; a perturbed image has the size of its own."""
    own, rejected = groups
    parts = (own, rejected or own) if held_against else (own,)
    return tuple(
        tuple((encoder.is_beside(group), pictures.sizes[key]) for key in group if key in pictures.sizes)
        for group in parts
    )


def _check_pairs(
    row: dict[str, Any], groups: tuple[tuple[str, ...], tuple[str, ...]], name: str, thorough: bool
) -> None:
    """Raise DataError for a row whose answers or images cannot be held against each other."""
    own, rejected = groups
    require_other_images(len(own), len(rejected), name)
    for pair in answer_pairs(row, name) if thorough else ():
        require_difference(pair, bool(rejected), name)


def require_fitting(read: ReadRows) -> ReadRows:
    """The rows that were read, when the run can use all that `length_policy` does not drop.

    Raises:
        DataError: it cannot, or none is left; names the first and how many there are.
    """
    if read.problems:
        raise DataError(listed(list(read.problems.values())))
    return read


def describe(read: ReadRows, source: str) -> str:
    """One line for the user: how many rows fit `max_length`, were cut, were dropped, and the longest."""
    settings, dropped, cut = read.encoder.settings, sorted(read.too_long), read.cut
    kept = len(read) - len(dropped)
    parts = [f"{kept - cut:,} of {len(read):,} rows fit max_length {settings.max_length:,}"]
    if cut:
        what = "the end of the answer" if settings.length_policy == "truncate" else "text of the prompt"
        parts.append(f"{cut:,} with {what} cut")
    if dropped:
        rows = ", ".join(str(index + 1) for index in dropped[:SHOWN_PROBLEMS])
        more = ", ..." if len(dropped) > SHOWN_PROBLEMS else ""
        parts.append(f"{len(dropped):,} dropped (row{'s' * (len(dropped) > 1)} {rows}{more})")
    return f"{source}: {', '.join(parts)}; the longest has {read.longest:,} tokens."


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
