"""Metrics that are means, or functions of sums over items; resampling needs only the sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from sightline.evaluation.task import Metric
from sightline.scoring.records import Item, Judged

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


MMMU_DISCIPLINES = {
    "Art & Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health & Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities & Social Science": ("History", "Literature", "Psychology", "Sociology"),
    "Tech & Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
"""MMMU's subjects (an item's category) by discipline."""


def mean_score(name: str = "accuracy") -> Metric:
    """The mean of the items' scores: accuracy, VQA accuracy, ANLS."""

    def value(judged: Sequence[Judged]) -> float:
        # fsum: `sum` differs between Python 3.11 and 3.12, and by the order of the items
        return math.fsum(one.verdict.score for one in judged) / max(len(judged), 1)

    return Metric(name, value, mean=True, sums=_scores, combine=_mean)


def mean_score_where(name: str, chosen: Callable[[Item], bool]) -> Metric:
    """The mean score of the chosen items alone; 0 where none was asked."""

    def sums(judged: Sequence[Judged]) -> np.ndarray:
        return table_of(((one.verdict.score * (kept := chosen(one.item)), kept) for one in judged), 2)

    return replace(additive(name, sums, _mean), mean=True, over=chosen)


def points(name: str, scale: float) -> Metric:
    """The sum of the scores, as OCRBench counts: so many of `scale`."""
    return additive(name, _scores, lambda sums: sums[..., 0], scale)


def mmmu_disciplines() -> tuple[Metric, ...]:
    """The accuracy of each of MMMU's six disciplines, each question counting the same."""
    return tuple(
        mean_score_where(name, lambda item, subjects=frozenset(subjects): item.category in subjects)  # type: ignore[misc]
        for name, subjects in MMMU_DISCIPLINES.items()
    )


def _scores(judged: Sequence[Judged]) -> np.ndarray:
    return table_of(((one.verdict.score, 1.0) for one in judged), 2)


def _mean(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 0], sums[..., 1])
