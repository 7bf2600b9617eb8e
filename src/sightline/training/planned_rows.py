"""Rows that are ready for a trainer, with their name in messages and what reading them found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightline.data.encoding.checks import ReadRows
from sightline.data.sources.datasets import RowNames


@dataclass(frozen=True)
class PlannedRows:
    """Rows in TRL's columns, their pictures closed; a trainer of ours takes them where TRL's takes a dataset.

    Attributes:
        dataset: a table or a stream.
        name: what messages call them: `train.jsonl`, whose fifth row is `train.jsonl row 5`.
        read: what reading them found, where every row was read.
        skip_bad_rows: leave out rows that turn out bad when their batch is made.
        is_planned: a plan read and checked them; else a script gave them.
    """

    dataset: Any
    name: str | RowNames
    read: ReadRows | None = None
    skip_bad_rows: bool = False
    is_planned: bool = True
