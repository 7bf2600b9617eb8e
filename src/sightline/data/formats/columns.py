"""Bring rows of any supported format into TRL's columns, without touching their images."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sightline.data.formats.conversations import answer_alone, without_parts
from sightline.data.formats.registry import Format, Goal, Row, holds_preferences, recognise
from sightline.data.images import row_images
from sightline.data.kept_rows import map_rows
from sightline.data.picture_columns import close_images
from sightline.data.sources import row_name
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

logger = logging.getLogger("sightline")

FIRST_ROWS = 100
_ORIGIN = "row of the source"


@dataclass(frozen=True)
class TrainingRows:
    """Rows in TRL's columns.

    Attributes:
        format: what they were.
        origins: for each row the index of the row it was made of, or None where they are the same.
        left_out: how many rows of the source nothing could be made of.
    """

    dataset: Any
    format: Format
    origins: Sequence[int] | None = None
    left_out: int = 0


def to_sft_columns(
    dataset: Dataset | IterableDataset, source: str, answers_alone: bool = False
) -> Dataset | IterableDataset:
    """The dataset with TRL's SFT columns; see `sft_rows`."""
    return sft_rows(dataset, source, answers_alone).dataset


def to_preference_columns(dataset: Dataset | IterableDataset, source: str) -> Dataset | IterableDataset:
    """The dataset with TRL's preference columns; see `preference_rows`."""
    return preference_rows(dataset, source).dataset


def sft_rows(dataset: Dataset | IterableDataset, source: str, answers_alone: bool = False) -> TrainingRows:
    """The rows as `messages`, `prompt` and `completion`, or `text`; images stay closed.

    Conversations become `messages`, whatever the other rows hold. With `answers_alone`, rows of `conversations`, which
    TRL does not read, become `prompt` and `completion`; each must be one question and its answer then.

    Raises:
        DataError: an unknown format, or a row that is broken.
    """
    return _training_rows(dataset, "sft", source, answers_alone)


def preference_rows(dataset: Dataset | IterableDataset, source: str) -> TrainingRows:
    """The rows as `prompt`, `chosen` and `rejected`; images stay closed.

    Raises:
        DataError: an unknown format, or a row that is broken.
    """
    return _training_rows(dataset, "preferences", source)


def require_columns(columns: Iterable[str], formats: Iterable[tuple[str, ...]], source: str) -> None:
    """Raise DataError unless `columns` holds every column of one of the formats."""
    found = set(columns)
    if any(set(format_) <= found for format_ in formats):
        return
    needed = " or ".join(" + ".join(format_) for format_ in formats)
    raise DataError(
        f"{source}: expected the columns {needed} (and image or images); found {', '.join(sorted(found)) or 'none'}. "
        f"Rename the columns, or convert the file."
    )


def has_images(dataset: Dataset | IterableDataset) -> bool:
    """Whether the dataset has an `image` or `images` column."""
    return bool(set(_columns(dataset)) & {"image", "images"})


def are_preferences(dataset: Dataset | IterableDataset) -> bool:
    """Whether the rows are preferences in one of the formats, by their columns and the first of them."""
    dataset = close_images(dataset)
    return holds_preferences(_columns(dataset), list(itertools.islice(dataset, FIRST_ROWS)))


def _training_rows(dataset: Any, goal: Goal, source: str, answers_alone: bool = False) -> TrainingRows:
    import datasets

    dataset = close_images(dataset)
    columns = _columns(dataset)
    first_rows = list(itertools.islice(dataset, FIRST_ROWS))
    format_ = recognise(columns, first_rows, goal, source)
    if format_.convert is None:
        return TrainingRows(dataset, format_)
    if answers_alone and "conversations" in format_.columns:
        format_ = replace(format_, convert=partial(answer_alone, format_.convert))
    if isinstance(dataset, datasets.IterableDataset):
        return TrainingRows(_streamed(dataset, columns, format_, source), format_)
    return _tabled(dataset, columns, format_, source)


def _columns(dataset: Any) -> list[str]:
    return list(next(iter(dataset))) if dataset.column_names is None else list(dataset.column_names)


def _tabled(dataset: Any, columns: list[str], format_: Format, source: str) -> TrainingRows:
    import datasets

    inputs = [column for column in (*format_.columns, *format_.optional) if column in columns]
    counts = image_counts(dataset)
    shown = has_images(dataset)

    def convert(batch: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        made: list[Row] = []
        for place, index in enumerate(indices):
            row = {column: batch[column][place] for column in inputs}
            images = counts[index] if counts else 0
            made += [{**new, _ORIGIN: index} for new in _convert(format_, row, images, shown, source, index)]
        names = made[0] if made else {_ORIGIN: None}
        return {column: [row[column] for row in made] for column in names}

    text = map_rows(
        dataset.select_columns(inputs),
        convert,
        (format_.name, format_.goal, isinstance(format_.convert, partial), inputs, counts, shown, str(source)),
        batched=True,
        with_indices=True,
        remove_columns=inputs,
        desc=f"Reading {format_.name}",
    )
    if not len(text):
        raise DataError(f"{source}: no row of {len(dataset):,} ({format_.name}) has a pair of answers that differ.")
    origins = text[_ORIGIN][:]
    text = text.remove_columns(_ORIGIN)
    rest = dataset.remove_columns([column for column in columns if column in {*inputs, *text.column_names}])
    left_out = len(dataset) - len(set(origins))
    if left_out:
        logger.warning("%s: %d of %d rows left out: no two answers to prefer.", source, left_out, len(dataset))
    same = origins == list(range(len(dataset)))
    joined = text
    if rest.column_names:
        joined = datasets.concatenate_datasets([rest if same else rest.select(origins), text], axis=1)
    return TrainingRows(joined, format_, None if same else origins, left_out)


def _convert(format_: Format, row: Row, images: int, shown: bool, source: str, index: int) -> list[Row]:
    """What the format makes of a row."""
    assert format_.convert is not None
    rows = format_.convert(row, images, row_name(source, index))
    if not shown:
        rows = [{column: _plain(value) for column, value in new.items()} for new in rows]
    return rows


def _plain(messages: Any) -> Any:
    """Messages with plain text; anything else as it is."""
    return without_parts(messages) if messages and isinstance(messages[0], dict) else messages


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


def _streamed(dataset: Any, columns: list[str], format_: Format, source: str) -> Any:
    """The stream with each row replaced by those made of it."""
    inputs = {*format_.columns, *format_.optional}
    shown = has_images(dataset)

    def convert(batch: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        made: list[Row] = []
        for place, index in enumerate(indices):
            row = {column: values[place] for column, values in batch.items()}
            rest = {column: value for column, value in row.items() if column not in inputs}
            for new in _convert(format_, row, len(row_images(row)), shown, source, index):
                made.append({**rest, **new})
        return {column: [row[column] for row in made] for column in (made[0] if made else ())}

    return dataset.map(convert, batched=True, batch_size=32, with_indices=True, remove_columns=columns)
