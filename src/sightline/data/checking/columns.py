"""The columns that a check reads: TRL's, as training reads the rows; where it refuses them, as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class ReadableRows:
    """Rows in columns that a check can read.

    Attributes:
        dataset: the rows that training makes of a source's, or the source's as they are.
        names: what they are called.
        refusal: why training takes none of the rows.
        bad: why it refuses some, by their index in the source.
        holds_bad: whether these rows, too, are in the dataset, at their index.
        is_known: whether it is known what the columns mean.
    """

    dataset: Dataset
    names: str | RowNames
    refusal: str = ""
    bad: Mapping[int, str] = field(default_factory=dict)
    holds_bad: bool = False
    is_known: bool = True

    @property
    def row_count(self) -> int:
        """Rows that were looked at, with those that training refuses."""
        return len(self.dataset) + (0 if self.holds_bad else len(self.bad))


def readable_columns(dataset: Dataset, source: str) -> ReadableRows:
    """The rows in columns that training reads; where it refuses some or all, as they are if a check knows them."""
    rows, refusal = _as_training_reads(dataset, source)
    if rows is not None and not rows.bad:
        return ReadableRows(rows.dataset, source if rows.origins is None else RowNames(source, rows.origins))
    columns = set(dataset.column_names)
    compares = any("rejected" in column for column in columns)
    bad = {} if rows is None else rows.bad
    if any(needed <= columns for needed in READ_AS_THEY_ARE) or ("conversations" in columns and not compares):
        return ReadableRows(dataset, source, refusal, bad, holds_bad=True)
    if rows is None:
        return ReadableRows(dataset, source, refusal, is_known=False)
    return ReadableRows(rows.dataset, RowNames(source, rows.origins or ()), bad=bad)


def _as_training_reads(dataset: Dataset, source: str) -> tuple[TrainingRows | None, str]:
    """The rows that can be brought into TRL's columns, or why none can."""
    from sightline.data.formats import are_preferences, preference_rows, sft_rows

    ways: list[Callable[..., TrainingRows]] = [sft_rows, preference_rows]
    if are_preferences(dataset):  # of which a broken one would else be taken for a demonstration
        ways = [preference_rows]
    elif any("rejected" in column for column in dataset.column_names):
        ways.reverse()
    refusals = []
    for convert in ways:
        try:
            return convert(dataset, source, skip_bad_rows=True), ""
        except DataError as error:
            refusals.append(str(error))
    return None, refusals[0]
