"""Compare two systems on the same items: difference, interval, p-value, and items needed."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import stats

from sightline.stats.intervals import clustered_standard_error, normal_quantile, student_quantile, wilson
from sightline.types import Interval


def paired_difference(before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """Mean of `after - before` over the items, with a 95% interval clustered like `clustered_mean`'s.

    Student's t with clusters - 1 degrees of freedom; scores of 0 to 1 keep it inside -1 to 1. Where every item changed
    by the same amount (mostly: not at all), the half-width is the share that Wilson's interval still allows after that
    many clusters without an exception.
    """
    changes = _changes(before, after)
    if len(changes) != len(clusters):
        raise ValueError(f"Expected one cluster for each item, got {len(clusters)} for {len(changes)} items.")
    count = len(set(clusters))
    mean = float(changes.mean())
    if count == 1:
        return Interval(mean, math.nan, math.nan, len(changes), count)
    error = clustered_standard_error(changes, clusters)
    half = student_quantile(count) * error if np.ptp(changes) > 0 else wilson(0, count).high
    limit = 1.0 if _are_shares(before) and _are_shares(after) else math.inf
    return Interval(mean, max(mean - half, -limit), min(mean + half, limit), len(changes), count)


def mcnemar_exact(before: Sequence[float], after: Sequence[float]) -> float:
    """Two-sided p-value that improved and worsened items are equally likely; scores are 0 or 1, items independent.

    Source: Q. McNemar, 1947; exact binomial form. 1.0 where no item changed.
    """
    changes = _changes(before, after)
    if not np.isin(changes, (-1.0, 0.0, 1.0)).all():
        raise ValueError("McNemar's test needs scores of 0 or 1; use `paired_difference` for others.")
    improved, worsened = int(np.sum(changes > 0)), int(np.sum(changes < 0))
    if improved + worsened == 0:
        return 1.0
    return float(stats.binomtest(improved, improved + worsened, 0.5).pvalue)


def standard_error_of_difference(
    before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable]
) -> float:
    """Clustered standard error of the mean change.

    Where every item changed by the same amount (mostly: not at all), that of the share of exceptions which Wilson's
    interval still allows after that many clusters.
    """
    changes = _changes(before, after)
    if np.ptp(changes) > 0:
        return clustered_standard_error(changes, clusters)
    count = len(set(clusters))
    return math.sqrt(wilson(0, count).high / count)


def paired_p_value(before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Two-sided p-value that the mean change is 0, by Student's t with clusters - 1 degrees of freedom.

    Where all clusters changed by the same amount, which leaves no spread to test against: the sign test of clusters.
    """
    changes = _changes(before, after)
    mean, count = float(changes.mean()), len(set(clusters))
    error = clustered_standard_error(changes, clusters) if count > 1 and np.ptp(changes) > 0 else 0.0
    if error == 0:
        return 1.0 if mean == 0 else min(1.0, 2 * 0.5**count)
    t = mean / error
    return float(2 * stats.t.sf(abs(t), count - 1))


def _changes(before: Sequence[float], after: Sequence[float]) -> np.ndarray:
    if len(before) != len(after) or len(before) == 0:
        raise ValueError(f"Expected the same items twice, at least one, got {len(before)} and {len(after)}.")
    return np.asarray(after, dtype=float) - np.asarray(before, dtype=float)


def _are_shares(scores: Sequence[float]) -> bool:
    return min(scores) >= 0 and max(scores) <= 1


POWER = 0.8


def items_for_error(items: int, standard_error: float, difference: float, power: float = POWER) -> int:
    """Items on which a true `difference` is found with probability `power`, given its standard error on `items`.

    Found: a two-sided paired test at 5%. Items come in clusters as these do, and change as much.

    Source: E. Miller, 2024, "Adding error bars to evals", section 5, with paired, clustered errors.
    """
    if difference == 0:
        raise ValueError("No number of items shows a difference of 0; give the smallest that matters, such as 0.01.")
    return math.ceil(items * (_standard_errors(power) * standard_error / difference) ** 2)


def _standard_errors(power: float) -> float:
    if not 0 < power < 1:
        raise ValueError(f"Power is a probability between 0 and 1, got {power}.")
    return normal_quantile() + float(stats.norm.ppf(power))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values in the given order: the chance of one false alarm among all stays below what they say.

    Source: S. Holm, 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    reached = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = reached
    return corrected
