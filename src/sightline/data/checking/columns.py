"""The columns that a check reads: TRL's, as training reads the rows; where it refuses them, as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sightline.data.sources.datasets import RowNames
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

    from sightline.data.formats import TrainingRows

READ_AS_THEY_ARE = (
    {"messages"},
    {"prompt", "completion"},
    {"prompt", "chosen", "rejected"},
    {"question", "chosen", "rejected"},
    {"question", "answer"},
)


def readable_columns(dataset: Dataset, source: str) -> tuple[Dataset, str | RowNames, str]:
    """The rows in columns that training reads, what they are called, and an empty text; or the rows as they are, and
    why training refuses them."""
    rows, refusal = _as_training_reads(dataset, source)
    if rows is not None:
        return rows.dataset, source if rows.origins is None else RowNames(source, rows.origins), ""
    columns = set(dataset.column_names)
    compares = any("rejected" in column for column in columns)
    if any(needed <= columns for needed in READ_AS_THEY_ARE) or ("conversations" in columns and not compares):
        return dataset, source, ""
    return dataset, source, refusal


def training_refusal(dataset: Dataset, source: str) -> str:
    """Why training refuses the rows, with the first of them, whatever their columns; empty where it takes them."""
    return _as_training_reads(dataset, source)[1]


def _as_training_reads(dataset: Dataset, source: str) -> tuple[TrainingRows | None, str]:
    """The rows in TRL's columns, or why they cannot be brought there."""
    from sightline.data.formats import are_preferences, preference_rows, sft_rows

    ways: list[Callable[..., TrainingRows]] = [sft_rows, preference_rows]
    if are_preferences(dataset):  # of which a broken one would else be taken for a demonstration
        ways = [preference_rows]
    elif any("rejected" in column for column in dataset.column_names):
        ways.reverse()
    refusals = []
    for convert in ways:
        try:
            return convert(dataset, source), ""
        except DataError as error:
            refusals.append(str(error))
    return None, refusals[0]
