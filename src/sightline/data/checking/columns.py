"""The columns that a check reads: TRL's and LLaVA's as they are, any other format brought into TRL's first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.data.sources import RowNames
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

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
    columns = set(dataset.column_names)
    compares = any("rejected" in column for column in columns)
    if any(needed <= columns for needed in READ_AS_THEY_ARE) or ("conversations" in columns and not compares):
        return dataset, source, ""
    from sightline.data.formats import preference_rows, sft_rows

    ways = [sft_rows, preference_rows]
    if compares:
        ways.reverse()
    refusals = []
    for convert in ways:
        try:
            rows = convert(dataset, source)
            return rows.dataset, source if rows.origins is None else RowNames(source, rows.origins), ""
        except DataError as error:
            refusals.append(str(error))
    return dataset, source, refusals[0]
