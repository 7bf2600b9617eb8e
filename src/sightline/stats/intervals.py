"""95% confidence intervals of means and proportions whose items come in clusters (questions of one image)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from sightline.types import Interval

LEVEL = 0.95


def wilson(successes: float, n: float, quantile: float | None = None) -> Interval:
    """The share of successes with Wilson's score interval: inside 0 to 1, and honest at 0% and 100%.

    Args:
        n: trials; a fraction where they stand for an effective number of trials.
        quantile: how many standard errors wide on each side; the normal quantile (1.96) by default.

    Source: E. B. Wilson, 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if n <= 0:
        raise ValueError(f"An interval needs at least one trial, got {n}.")
    z = normal_quantile() if quantile is None else quantile
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    trials = math.ceil(n)
    # The ends are exact at 0 and 1; the formula misses them by rounding.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return Interval(share, low, high, trials, trials)


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """The mean of `values`; items that share a cluster may depend on each other, clusters may not.

    Scores of 0 and 1: Wilson's interval, on the number of items where each is its own cluster, else on the effective
    number `share * (1 - share) / standard_error**2` (on the number of clusters where all scores are equal).
    Other scores: Student's t with clusters - 1 degrees of freedom. One cluster says nothing about others: not a number.

    Source: the standard error is `clustered_standard_error`; effective sizes in Wilson's interval follow Franco et al.,
    2019, "Comparative study of confidence intervals for proportions in complex sample surveys".
    """
    scores = np.asarray(values, dtype=float)
    if len(scores) == 0 or len(scores) != len(clusters):
        raise ValueError(f"Expected one cluster for each of at least one value, got {len(scores)} and {len(clusters)}.")
    count = len(set(clusters))
    bounds = _bounds_of_shares(scores, clusters, count) if _is_binary(scores) else _bounds_of_t(scores, clusters, count)
    return Interval(float(scores.mean()), *bounds, n=len(scores), clusters=count)


def clustered_standard_error(values: Sequence[float] | np.ndarray, clusters: Sequence[Hashable]) -> float:
    """Standard error of the mean from sums of residuals within clusters, in the unit of `values`; needs two clusters.

    Source: E. Miller, 2024, "Adding error bars to evals", equation 4, times C / (C - 1) for C clusters as in
    inspect_ai 0.3.285. With clusters of one item it is the sample standard deviation over the root of n.
    """
    scores = np.asarray(values, dtype=float)
    _, index = np.unique(cluster_numbers(clusters), return_inverse=True)
    sums = np.bincount(index, weights=scores - scores.mean())
    count = len(sums)
    if count < 2:
        raise ValueError("A clustered standard error needs at least two clusters, got one.")
    return float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / len(scores))


def cluster_numbers(clusters: Sequence[Hashable]) -> np.ndarray:
    """Clusters as integers in order of first appearance."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=int)


def normal_quantile() -> float:
    """How many standard errors reach from the middle of a normal distribution to the end of its 95%: 1.96."""
    return float(stats.norm.ppf(0.5 + LEVEL / 2))


def student_quantile(clusters: int) -> float:
    """The same for a standard error estimated from few clusters: 12.7 with two, 2.05 with thirty."""
    return float(stats.t.ppf(0.5 + LEVEL / 2, clusters - 1))


def _is_binary(scores: np.ndarray) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())


def _bounds_of_shares(scores: np.ndarray, clusters: Sequence[Hashable], count: int) -> tuple[float, float]:
    share = float(scores.mean())
    if count == len(scores) or count == 1 or share in (0.0, 1.0):
        interval = wilson(share * count, count)
        return interval.low, interval.high
    error = clustered_standard_error(scores, clusters)
    # Opposite errors within every cluster leave no variance between clusters; an item counts once at least.
    effective = min(share * (1 - share) / error**2, len(scores)) if error > 0 else float(len(scores))
    interval = wilson(share * effective, effective, student_quantile(count))
    return interval.low, interval.high


def _bounds_of_t(scores: np.ndarray, clusters: Sequence[Hashable], count: int) -> tuple[float, float]:
    if count == 1:
        return math.nan, math.nan
    half = student_quantile(count) * clustered_standard_error(scores, clusters)
    return float(scores.mean() - half), float(scores.mean() + half)
