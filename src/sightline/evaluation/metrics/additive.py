"""Metrics that are functions of sums over items, so that their intervals are resampled without scoring again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from sightline.evaluation.task import Metric
from sightline.scoring.records import Judged

Sums = Callable[[Sequence[Judged]], np.ndarray]
Combine = Callable[[np.ndarray], np.ndarray]


def additive(name: str, sums: Sums, combine: Combine, scale: float = 1.0) -> Metric:
    """The metric `combine(sums(judged).sum(0))`."""

    def value(judged: Sequence[Judged]) -> float:
        return float(combine(sums(judged).sum(axis=0)))

    return Metric(name, value, scale=scale, sums=sums, combine=combine)


def table_of(rows: Iterable[Iterable[float]], columns: int) -> np.ndarray:
    """What the items add, one row each; of shape (0, columns) without an item."""
    return np.array([list(row) for row in rows], dtype=float).reshape(-1, columns)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=np.asarray(whole) != 0)
