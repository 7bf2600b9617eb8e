"""Convert rows of any supported format to TRL's columns, without opening their images."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.formats.conversations import answer_alone
from sightline.data.formats.converted import (
    TrainingRows,
    convert_row,
    converted_table,
    has_images,
    inputs_of,
    own_row,
    own_table,
    placed,
    spoken_columns,
    with_names,
)
from sightline.data.formats.placed import ASKED, are_talk, even_row, is_even, may_show, place as place_marks
from sightline.data.formats.questions import QUESTIONS, refuse_hidden_options
from sightline.data.formats.refused import (
    refuse_unpaired,
    require_whole,
    rows_of_other_kinds,
    rows_that_lose,
    say_text_alone,
    say_unread,
)
from sightline.data.formats.registry import Convert, Format, Goal, Row, holds, recognise
from sightline.data.pictures.columns import PictureAccess, PictureFinder, close_images
from sightline.data.pictures.gathering import (
    filled_columns,
    gather_pictures,
    gather_row,
    refuse_addresses as addresses_in_messages,
    refuse_late_pictures,
    stream_columns,
)
from sightline.data.pictures.images import row_images
from sightline.data.pictures.messages import MESSAGE_COLUMNS
from sightline.data.sources.answers import class_columns
from sightline.data.sources.bad_rows import say_once
from sightline.data.sources.datasets import row_name
from sightline.data.tables import is_transformed, row_columns
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

FIRST_ROWS = 100


def to_sft_columns(
    dataset: Dataset | IterableDataset, source: str, answers_alone: bool = False
) -> Dataset | IterableDataset:
    """The dataset with TRL's SFT columns; see `sft_rows`."""
    return sft_rows(dataset, source, answers_alone).dataset


def to_preference_columns(dataset: Dataset | IterableDataset, source: str) -> Dataset | IterableDataset:
    """The dataset with TRL's preference columns; see `preference_rows`."""
    return preference_rows(dataset, source).dataset


def sft_rows(
    dataset: Dataset | IterableDataset, source: str, answers_alone: bool = False, *, skip_bad_rows: bool | None = None
) -> TrainingRows:
    """The rows as `messages`, `prompt` and `completion`, or `text`; images stay closed.

    Conversations become `messages`, whatever the other rows hold. With `answers_alone`, rows of `conversations` and
    `texts`, which TRL does not read, become `prompt` and `completion`; each must be one question and its answer then.
    With `skip_bad_rows`, rows of which nothing can be made are left out, and listed in what is returned.

    Raises:
        DataError: an unknown format, or rows that are broken.
    """
    return _training_rows(dataset, "sft", source, answers_alone, skip_bad_rows)


def preference_rows(
    dataset: Dataset | IterableDataset, source: str, *, skip_bad_rows: bool | None = None
) -> TrainingRows:
    """The rows as `prompt`, `chosen` and `rejected`; images stay closed. For `skip_bad_rows` see `sft_rows`.

    Raises:
        DataError: an unknown format, or rows that are broken.
    """
    return _training_rows(dataset, "preferences", source, skip_bad_rows=skip_bad_rows)


def are_preferences(dataset: Dataset | IterableDataset) -> bool:
    """Whether the rows are preferences in one of the formats, by their columns and the first of them."""
    return _holds(dataset, "preferences")


def are_demonstrations(dataset: Dataset | IterableDataset) -> bool:
    """Whether the rows are demonstrations in one of the formats, by their columns and the first of them."""
    return _holds(dataset, "sft")


def _holds(dataset: Dataset | IterableDataset, goal: Goal) -> bool:
    dataset = close_images(dataset)
    classes = class_columns(dataset.features)
    first_rows = [with_names(row, classes) for row in itertools.islice(dataset, FIRST_ROWS)]
    return holds(row_columns(dataset), first_rows, goal)


def _training_rows(
    dataset: Any, goal: Goal, source: str, answers_alone: bool = False, skip_bad_rows: bool | None = None
) -> TrainingRows:
    import datasets

    if is_transformed(dataset):
        return TrainingRows(*transformed_rows(dataset, goal, source))
    dataset = close_images(gathered(dataset, source))
    columns = row_columns(dataset)
    classes = class_columns(dataset.features)
    first_rows = [with_names(row, classes) for row in itertools.islice(dataset, FIRST_ROWS)]
    refuse_unpaired(dataset, columns, first_rows, source)
    format_ = recognise(columns, first_rows, goal, source)
    if goal == "sft" and format_.columns[0] in QUESTIONS:
        refuse_hidden_options(first_rows, format_.columns[1:], source)
    if format_.convert is not None and answers_alone and format_.columns[0] in ("conversations", "texts"):
        format_ = replace(format_, convert=partial(answer_alone, format_.convert))
    if goal == "sft":
        say_text_alone(format_, columns, source)
    say_unread((*format_.columns, *format_.optional), first_rows, source)
    if isinstance(dataset, datasets.IterableDataset):
        return TrainingRows(_streamed(dataset, columns, format_, source, bool(skip_bad_rows)), format_)
    names = partial(row_name, source)
    bad = rows_of_other_kinds(dataset, format_, columns, names) | rows_that_lose(dataset, goal, columns, names)
    if format_.convert is None:
        return own_table(dataset, format_, source, bad, skip_bad_rows)
    return converted_table(dataset, format_, source, bad, skip_bad_rows)


def gathered(dataset: Any, source: str) -> Any:
    """The dataset or stream with its pictures in `image` or `images`; paths count from the working directory."""
    import datasets

    finder = PictureFinder(Path.cwd(), PictureAccess())
    if isinstance(dataset, datasets.Dataset):
        return gather_pictures(dataset, finder, partial(row_name, source))
    dataset = close_images(dataset)
    first = list(itertools.islice(dataset, FIRST_ROWS))
    columns, seen = stream_columns(first, finder, source), filled_columns(first)
    if not columns and set(row_columns(dataset)) <= seen and not set(MESSAGE_COLUMNS) & set(row_columns(dataset)):
        return dataset

    gather = _Gathering(tuple(columns), frozenset(seen), finder, source)
    return dataset.map(gather, with_indices=True, remove_columns=row_columns(dataset))


@dataclass(frozen=True)
class _Gathering:
    """Gathers the pictures of a stream's row; a record, as are those below, which a worker started anew can be given.

    Attributes:
        seen: the columns that the first rows fill.
    """

    columns: tuple[str, ...]
    seen: frozenset[str]
    finder: PictureFinder
    source: str

    def __call__(self, row: Row, index: int) -> Row:
        name = row_name(self.source, index)
        refuse_late_pictures(row, self.seen, self.finder, name)
        return gather_row(row, self.columns, self.finder, name)


def refuse_addresses(dataset: Any, source: str) -> None:
    """Raise DataError where messages that stay as they are name a picture by an address."""
    addresses_in_messages(dataset, partial(row_name, source))


def without_pictures(dataset: Any, source: str) -> Any:
    """A dataset or stream of text as it is; of a stream each row is looked at when it comes.

    Raises:
        DataError: a prompt shows a picture that is not there.
    """
    import datasets

    if isinstance(dataset, datasets.Dataset):
        columns = [column for column in ASKED if column in dataset.column_names]
        if may_show(dataset, columns):
            placed(dataset, source)
        return dataset
    if not set(MESSAGE_COLUMNS) & set(row_columns(dataset)):
        return dataset
    return dataset.map(_TextCheck(source), with_indices=True, features=dataset.features)


@dataclass(frozen=True)
class _TextCheck:
    """Raises DataError where the prompt of a stream's row shows a picture."""

    source: str

    def __call__(self, row: Row, index: int) -> Row:
        name = row_name(self.source, index)
        if row_images(gather_row(row, (), PictureFinder(Path.cwd(), PictureAccess()), name)):
            raise DataError(
                f"{name}: expected text alone, as in the first {FIRST_ROWS} rows, got a picture. Give each row a "
                "column images, an empty list where it has none."
            )
        place_marks(row, 0, name, False)
        return row


def _streamed(dataset: Any, columns: list[str], format_: Format, source: str, skip_bad_rows: bool) -> Any:
    """The stream with each row replaced by those made of it; those that cannot be used are left out and said where they
    may be."""
    if format_.convert is None and not set(ASKED) & set(columns):
        return dataset
    first = list(itertools.islice(dataset, FIRST_ROWS)) if format_.convert is None else []
    talk = are_talk({column: row.get(column) for column in format_.columns} for row in first)
    inputs, classes = frozenset(inputs_of(format_, columns)), class_columns(dataset.features)
    classes = class_columns(dataset.features)
    spoken, shown = spoken_columns(format_), has_images(dataset)
    convert = _Conversion(format_.goal, format_.convert, inputs, spoken, talk, shown, classes, source, skip_bad_rows)
    return dataset.map(convert, batched=True, batch_size=32, with_indices=True, remove_columns=columns)


@dataclass(frozen=True)
class _Conversion:
    """Makes rows of TRL's columns of a stream's rows."""

    goal: Goal
    convert: Convert | None
    inputs: frozenset[str]
    spoken: tuple[str, ...]
    talk: bool
    shown: bool
    classes: dict[str, Any]
    source: str
    skip_bad_rows: bool

    def __call__(self, batch: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        made: list[Row] = []
        for place, index in enumerate(indices):
            row = {column: values[place] for column, values in batch.items()}
            rest = {column: value for column, value in row.items() if column not in self.inputs}
            try:
                made += [{**rest, **new} for new in self._made_of(row, index)]
            except DataError as error:
                if not self.skip_bad_rows:
                    raise
                say_once(f"Left out: {error}")
        return {column: [row[column] for row in made] for column in (made[0] if made else ())}

    def _made_of(self, row: Row, index: int) -> list[Row]:
        images, name = len(row_images(row)), row_name(self.source, index)
        row = with_names(row, self.classes)
        require_whole(row, self.goal, name)
        if self.convert is None:
            return [own_row(row, self.spoken, self.talk, images, name, False)]
        own = {column: value for column, value in row.items() if column in self.inputs}
        made = convert_row(self.convert, own, images, self.shown, name)
        return [place_marks(new, images, name, False) for new in made]


def transformed_rows(dataset: Dataset, goal: Goal, source: str) -> tuple[Dataset, Format]:
    """The dataset with its rows in TRL's columns, made when its own transform has made them, and their format.

    Raises:
        DataError: an unknown format; while rows are read, one that is broken, or becomes none or several rows.
    """
    first = next(iter(dataset))
    format_ = recognise(first, [first], goal, source)
    spoken = {column: first[column] for column in format_.columns}
    talk = are_talk([spoken])
    if format_.convert is None and is_even(spoken, talk):
        return dataset, format_
    make = format_.convert or _Evening(format_.columns, talk)
    replaced = frozenset({*format_.columns, *format_.optional})
    name = f"{source}, a row that its transform makes"
    convert = _LazyConversion(dataset.format["format_kwargs"]["transform"], make, replaced, name)
    shown = {"columns": dataset.format["columns"], "output_all_columns": dataset.format["output_all_columns"]}
    return dataset.with_transform(convert, **shown), format_


@dataclass(frozen=True)
class _Evening:
    """Makes a row of TRL's own columns even."""

    columns: tuple[str, ...]
    talk: bool

    def __call__(self, row: Row, images: int, name: str) -> list[Row]:
        return [even_row({column: row[column] for column in self.columns}, self.talk, name)]


@dataclass(frozen=True)
class _LazyConversion:
    """Makes rows of TRL's columns of those that `transform` makes; a record, which a worker started anew can be given.

    Attributes:
        replaced: columns that `make` reads.
    """

    transform: Callable[[dict[str, list[Any]]], dict[str, list[Any]]]
    make: Convert
    replaced: frozenset[str]
    name: str

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        given = self.transform(batch)
        rows: list[Row] = [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]
        made: list[Row] = []
        for row in rows:
            new = self.make(row, len(row_images(row)), self.name)
            if len(new) != 1:
                raise DataError(
                    f"{self.name}: expected one row of it, got {len(new)}. Give TRL's columns in the transform."
                )
            made.append({**{column: value for column, value in row.items() if column not in self.replaced}, **new[0]})
        return {column: [row[column] for row in made] for column in (made[0] if made else ())}
