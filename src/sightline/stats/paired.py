"""Two systems on the same items: the difference with its interval, its p-value, and McNemar's exact test."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import stats

from sightline.stats.intervals import clustered_standard_error, student_quantile, wilson
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
