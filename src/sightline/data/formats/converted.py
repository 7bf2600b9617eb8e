"""Convert a table's rows, or uniform those of TRL's own columns, with closed images; report bad rows together."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sightline.data.formats.conversations import without_parts
from sightline.data.formats.placed import (
    ANSWERED,
    ASKED,
    TALKED,
    are_talk,
    even_row,
    is_even,
    may_be_talk,
    may_mark,
    may_show,
    place as place_marks,
)
from sightline.data.formats.registry import Convert, Format, Row
from sightline.data.pictures.images import IMAGE_COLUMNS
from sightline.data.sources.answers import class_columns, class_names
from sightline.data.sources.bad_rows import OFFER, BadRows, listed
from sightline.data.sources.datasets import RowNames, row_name
from sightline.data.sources.kept_rows import map_rows, maps_in_temporary_files
from sightline.data.tables import row_columns, table_of
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

logger = logging.getLogger("sightline")

_ORIGIN = "row of the source"


@dataclass(frozen=True)
class TrainingRows:
    """Rows in TRL's columns.

    Attributes:
        format: what they were.
        origins: for each row the index of the row it was made of, or None where they are the same.
        left_out: how many rows of the source have nothing to train.
        bad: why rows of the source cannot be used, by their index there; they are left out.
    """

    dataset: Any
    format: Format
    origins: Sequence[int] | None = None
    left_out: int = 0
    bad: Mapping[int, str] = field(default_factory=dict)


def good_rows(rows: int, bad: Mapping[int, str], skip_bad_rows: bool | None) -> list[int]:
    """The indices of rows that can be used, where the others may be left out.

    Raises:
        DataError: they may not, or none is left; the first of the bad ones. `--skip_bad_rows` is offered where it is
            False, and not where a caller knows of no such setting.
    """
    told = listed(list(bad.values()))
    if bad and not skip_bad_rows:
        raise DataError(told if skip_bad_rows is None else f"{told} {OFFER}")
    if bad and len(bad) == rows:
        raise DataError(f"None of {rows:,} rows can be used. The first: {told}")
    return [index for index in range(rows) if index not in bad]


def converted_table(
    dataset: Any, format_: Format, source: str, bad: Mapping[int, str], skip_bad_rows: bool | None
) -> TrainingRows:
    """The rows that a format makes of a table's; with `skip_bad_rows`, of those that it can read. `bad` says what is
    known of some.

    Raises:
        DataError: rows that cannot be used, the first of them listed.
    """
    import datasets

    columns = row_columns(dataset)
    rows = _Rows(dataset, inputs_of(format_, columns), format_, source, bad)
    text = rows.left_out() if skip_bad_rows or bad else rows.kept()
    good_rows(len(dataset), rows.bad, skip_bad_rows)
    if not len(text):
        raise DataError(f"{source}: no row of {len(dataset):,} ({format_.name}) has a pair of answers that differ.")
    origins = text[_ORIGIN][:]
    text = text.remove_columns(_ORIGIN)
    rest = dataset.remove_columns([column for column in columns if column in {*rows.inputs, *text.column_names}])
    empty = len(dataset) - len(set(origins)) - len(rows.bad)
    if empty:
        logger.warning("%s: %d of %d rows left out: no two answers to prefer.", source, empty, len(dataset))
    same = origins == list(range(len(dataset)))
    joined = text
    if rest.column_names:
        joined = datasets.concatenate_datasets([rest if same else rest.select(origins), text], axis=1)
    return TrainingRows(joined, format_, None if same else origins, empty, dict(sorted(rows.bad.items())))


class _Rows:
    """The rows of a table and what a format makes of each; `bad` says of those that were met why nothing is."""

    def __init__(self, dataset: Any, inputs: list[str], format_: Format, source: str, bad: Mapping[int, str]) -> None:
        self.inputs, self.bad = inputs, dict(bad)
        self._texts, self._format, self._source = dataset.select_columns(inputs), format_, source
        self._counts, self._shown = image_counts(dataset), has_images(dataset)
        self._classes = class_columns(dataset.features)
        self._marked = may_mark(dataset, inputs)

    def kept(self) -> Any:
        """The rows made, each with the number of its origin; all bad ones are noted where there is one."""
        kind = isinstance(self._format.convert, partial)
        told = (self._format.name, self._format.goal, kind, self.inputs, self._counts, self._shown, str(self._source))
        try:
            return map_rows(self._texts, partial(self._batch, self._made_of), told, **self._options())
        except DataError:
            return self.left_out()

    def left_out(self) -> Any:
        """The rows made of those that can be used; the others are noted, each time, so that nothing is kept."""
        with maps_in_temporary_files():
            return self._texts.map(partial(self._batch, self._noted), **self._options())

    def _options(self) -> dict[str, Any]:
        title = f"Reading {self._format.name}"
        return {"batched": True, "with_indices": True, "remove_columns": self.inputs, "desc": title}

    def _batch(
        self, make: Callable[[Row, int], list[Row]], batch: dict[str, list[Any]], indices: list[int]
    ) -> dict[str, list[Any]]:
        made: list[Row] = []
        for place, index in enumerate(indices):
            row = {column: batch[column][place] for column in self.inputs}
            made += [{**new, _ORIGIN: index} for new in make(row, index)]
        names = made[0] if made else {_ORIGIN: None}
        return {column: [row[column] for row in made] for column in names}

    def _made_of(self, row: Row, index: int) -> list[Row]:
        images, name = self._counts[index] if self._counts else 0, row_name(self._source, index)
        made = convert_row(self._format.convert, with_names(row, self._classes), images, self._shown, name)
        return [place_marks(new, images, name, self._shown) for new in made] if self._marked else made

    def _noted(self, row: Row, index: int) -> list[Row]:
        if index in self.bad:
            return []
        try:
            return self._made_of(row, index)
        except DataError as error:
            self.bad[index] = str(error)
            return []


def inputs_of(format_: Format, columns: list[str]) -> list[str]:
    """The columns that a format reads and replaces; pictures stay."""
    return [one for one in (*format_.columns, *format_.optional) if one in columns and one not in IMAGE_COLUMNS]


def with_names(row: Row, classes: dict[str, Any]) -> Row:
    """The row with the names of its classes in place of their numbers."""
    return {**row, **{name: class_names(kind, row[name]) for name, kind in classes.items() if name in row}}


def convert_row(convert: Convert | None, row: Row, images: int, shown: bool, name: str) -> list[Row]:
    """What a format makes of a row."""
    if convert is None:
        return [row]
    rows = convert(row, images, name)
    if not shown:
        rows = [{column: _plain(value) for column, value in new.items()} for new in rows]
    return rows


def _plain(messages: Any) -> Any:
    """Messages with plain text; anything else as it is."""
    return without_parts(messages) if messages and isinstance(messages[0], dict) else messages


def has_images(dataset: Dataset | IterableDataset) -> bool:
    """Whether the dataset has an `image` or `images` column."""
    return bool(set(row_columns(dataset)) & {"image", "images"})


def image_counts(dataset: Dataset) -> list[int]:
    """How many images each row has; empty without image columns."""
    images = [column for column in ("image", "images") if column in dataset.column_names]
    if not images:
        return []
    counts: list[int] = []
    for batch in dataset.select_columns(images).with_format("arrow").iter(batch_size=1000):
        counts += _batch_counts(batch)
    return counts


def _batch_counts(batch: Any) -> list[int]:
    """Counted in Arrow, so that no encoded picture is copied."""
    import pyarrow.compute as compute

    if "images" in batch.column_names:
        several = compute.fill_null(compute.list_value_length(batch["images"]), -1).to_pylist()
    else:
        several = [-1] * batch.num_rows
    single = compute.is_valid(batch["image"]).to_pylist() if "image" in batch.column_names else [0] * len(several)
    return [int(one) if many < 0 else many for one, many in zip(single, several, strict=True)]


def own_table(
    dataset: Any, format_: Format, source: str, bad: Mapping[int, str], skip_bad_rows: bool | None
) -> TrainingRows:
    """The rows as TRL reads them; with `skip_bad_rows`, those that it can read. `bad` says what is known of some.

    Raises:
        DataError: rows that cannot be used, the first of them listed.
    """
    if not bad:
        try:
            return TrainingRows(placed(_even(dataset, format_, source), source), format_)
        except DataError as error:
            bad = _bad_rows(dataset, format_, source)
            if not bad:
                raise error
    else:
        bad = dict(sorted({**_bad_rows(dataset, format_, source), **bad}.items()))
    good = good_rows(len(dataset), bad, skip_bad_rows)
    names = RowNames(source, good)
    made = placed(_even(dataset.select(good), format_, names), names)
    return TrainingRows(made, format_, good, bad=bad)


def own_row(row: Row, spoken: tuple[str, ...], talk: bool, images: int, name: str, in_parts: bool) -> Row:
    """A row with the columns `spoken` as texts, or where `talk` as messages, and its pictures where marks stand.

    Raises:
        DataError: a value is neither text nor messages, or marks do not fit the images.
    """
    given = {column: row[column] for column in spoken if column in row}
    return place_marks({**row, **({} if is_even(given, talk) else even_row(given, talk, name))}, images, name, in_parts)


def spoken_columns(format_: Format) -> tuple[str, ...]:
    """The columns of a format that hold texts or messages."""
    return tuple(column for column in format_.columns if column in TALKED)


def placed(dataset: Any, source: str | RowNames) -> Any:
    """Rows of TRL's columns, each picture where a mark stands for it.

    Raises:
        DataError: a prompt shows pictures that its row has not, or an answer has a mark for one.
    """
    import datasets

    columns, answers = ([one for one in kind if one in dataset.column_names] for kind in (ASKED, ANSWERED))
    counts = image_counts(dataset)
    if not (may_mark(dataset, columns + answers) if counts else may_show(dataset, columns)):
        return dataset
    rows = [
        place_marks(row, counts[index] if counts else 0, row_name(source, index), bool(counts))
        for index, row in enumerate(dataset.select_columns(columns + answers))
    ]
    if not counts:
        return dataset
    texts = table_of({column: [row[column] for row in rows] for column in columns})
    return datasets.concatenate_datasets([dataset.remove_columns(columns), texts], axis=1)


def _even(dataset: Any, format_: Format, source: str | RowNames) -> Any:
    """Rows of TRL's columns whose prompts and answers are all texts, or all messages."""
    import datasets

    texts = dataset.select_columns(list(spoken_columns(format_)))
    if all(kind == datasets.Value("string") for kind in texts.features.values()) and not may_be_talk(texts):
        return dataset
    talk = are_talk(texts)
    if all(is_even(row, talk) for row in texts):
        return dataset
    rows = [even_row(row, talk, row_name(source, index)) for index, row in enumerate(texts)]
    new = table_of({column: [row.get(column) for row in rows] for column in dict.fromkeys(itertools.chain(*rows))})
    rest = dataset.remove_columns(texts.column_names)
    return datasets.concatenate_datasets([rest, new], axis=1) if rest.column_names else new


def _bad_rows(dataset: Any, format_: Format, source: str) -> dict[int, str]:
    """Why rows cannot be used, by their index."""
    spoken, counts = spoken_columns(format_), image_counts(dataset)
    read = dataset.select_columns([column for column in dataset.column_names if column in (*ASKED, *spoken)])
    bad = BadRows()
    if not read.column_names:
        return {}
    talk = are_talk(read.select_columns(list(spoken)))
    for index, row in enumerate(read):
        with bad.of_row(index):
            own_row(row, spoken, talk, counts[index] if counts else 0, row_name(source, index), bool(counts))
    return dict(zip((index for index in range(len(dataset)) if bad.holds(index)), bad.problems, strict=True))
