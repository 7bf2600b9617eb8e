"""Name a bad row as its file counts it: `train.jsonl row 12`, not `row 1 of the batch`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from sightline.data.sources.datasets import RowNames, row_name
from sightline.errors import DataError

OF_BATCH = re.compile(r"\brow (\d+) of the batch")

PICTURES = frozenset({"image", "images", "rejected_images"})

FindRow = Callable[[dict[str, Any]], str | None]


@dataclass
class NamingCollator:
    """A collator whose complaints about a row of the batch name it as `find` does; looked up only then."""

    collate: Any
    find: FindRow

    def __call__(self, rows: list[Any]) -> Any:
        try:
            return self.collate(rows)
        except DataError as error:
            flat = [row for group in rows for row in (group if isinstance(group, list) else [group])]
            error.args = (OF_BATCH.sub(lambda found: self._name(flat, found), str(error)),)
            raise

    def _name(self, rows: list[dict[str, Any]], found: re.Match[str]) -> str:
        number = int(found[1])
        name = self.find(rows[number - 1]) if number <= len(rows) else None
        return name or found[0]


def find_row(rows: Any, names: str | RowNames, row: dict[str, Any]) -> str | None:
    """The name of the first of `rows` that is this one; None where none is, or they cannot be looked through.

    A column that only one of them has does not count. Pictures are looked at where all else is equal.
    """
    if not isinstance(rows, Dataset):
        return None
    shared = [column for column in rows.column_names if column in row]
    words = rows.select_columns([column for column in shared if column not in PICTURES] or shared)
    for index, other in enumerate(words):
        if all(row[column] == other[column] for column in other):
            whole = rows[index]
            if all(row[column] == whole[column] for column in shared):
                return row_name(names, index)
    return None
