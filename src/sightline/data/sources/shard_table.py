"""The samples of tar shards as a table in the cache of `datasets`, whatever columns each of them has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.sources.file_signatures import file_signature
from sightline.data.sources.mixed_columns import is_mixed, kept_texts, table_of
from sightline.data.sources.shards import IMAGE_COLUMNS, read_shards, shard_problem
from sightline.data.version import encoding_version
from sightline.errors import DataError
from sightline.launch.processes import say

if TYPE_CHECKING:
    from datasets import Dataset, Features

Row = dict[str, Any]

SHARD_ROWS = 64  # samples in memory at once


class _OtherColumnsError(Exception):
    """A sample has other columns than the first; `datasets` would drop them without a word."""


def read_shard_table(paths: Sequence[Path], skip_broken: bool = False, noted: list[str] | None = None) -> Dataset:
    """A row for each sample, with the union of their columns; a column absent from a sample is None there.

    With `skip_broken`, a shard that is cut gives the samples before the cut, which is said each time, or `noted`.

    Raises:
        DataError: a shard is broken, or a column holds values that do not fit into one table.
    """
    shards = [str(path) for path in paths]
    # What `datasets` keeps the table under: a shard that changed, or that we read in another way since, is read again.
    stamps = (encoding_version(), *map(file_signature, paths))
    dataset = _generated(shards, stamps, skip_broken)
    if dataset is None or is_mixed(dataset.features):
        features = _features_of_all(shards, skip_broken)
        dataset = _generated(shards, stamps, skip_broken, features)
        if dataset is None:
            raise DataError(
                f"{shards[0]}: the samples do not fit into one table. Give a column one type in all of them."
            )
    for problem in filter(None, map(shard_problem, paths if skip_broken else ())):
        if noted is None:
            say(f"Left out: {problem}")
        else:
            noted.append(problem)
    for column, feature in _picture_features().items():
        if column in dataset.column_names:
            dataset = dataset.cast_column(column, feature)
    return dataset


def _generated(
    shards: list[str], stamps: tuple[str, ...], skip_broken: bool, features: Features | None = None
) -> Dataset | None:
    """The table of all samples; None where the first ones do not tell the columns of those behind them."""
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    given = {"shards": shards, "stamps": stamps, "skip_broken": skip_broken, "features": features}
    try:
        return Dataset.from_generator(_samples, features=features, gen_kwargs=given, writer_batch_size=SHARD_ROWS)
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, DataError | OSError):
            raise error.__cause__ from None
        return None


def _samples(shards: list[str], stamps: tuple[str, ...], skip_broken: bool, features: Features | None) -> Iterator[Row]:
    first = None
    for row in read_shards(shards, skip_broken):
        if features is not None:
            yield {name: _as_in(features, name, row) for name in features}
            continue
        first = row.keys() if first is None else first
        if row.keys() != first:
            raise _OtherColumnsError
        yield row


def _as_in(features: Features, name: str, row: Row) -> Any:
    """What the sample has in this column; a single picture as a list where others have several."""
    if name == "images" and "image" in row:
        return [row["image"]]
    value = row.get(name)
    return value if name in IMAGE_COLUMNS else kept_texts([value], features[name])[0]


def _features_of_all(shards: list[str], skip_broken: bool) -> Features:
    """The columns of all samples, without their pictures in memory."""
    from datasets import Features

    rows: list[Row] = []
    pictures: set[str] = set()
    for row in read_shards(shards, skip_broken):
        pictures |= row.keys() & set(IMAGE_COLUMNS)
        rows.append({name: value for name, value in row.items() if name not in IMAGE_COLUMNS})
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        texts = table_of({name: [row.get(name) for row in rows] for name in names}).features
    except Exception as error:  # pyarrow's own tree: invalid, type and overflow errors
        raise DataError(f"{shards[0]}: the samples do not fit into one table: {error}") from error
    column = max(pictures, default=None)  # `images` where some have several
    return Features({**({column: _picture_features()[column]} if column else {}), **texts})


def _picture_features() -> dict[str, Any]:
    from datasets import Image, List

    return {"image": Image(), "images": List(Image())}
