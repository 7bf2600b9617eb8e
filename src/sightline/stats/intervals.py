"""95% intervals of items that come in clusters (questions of one image): of means and shares, and of any metric.

Means have a formula. Any other metric is computed on resampled clusters: one that is a function of sums over items in
one matrix product, another anew for each resample, which is why it gets fewer.

Source: Davison and Hinkley, 1997, "Bootstrap methods and their application", chapter 2 (percentile) and 3.8 (clusters).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
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


# Dims: N items, C clusters, K sums, R resamples.
RESAMPLES = 2_000
FEWER_RESAMPLES = 200
_DRAWS_AT_ONCE = 4_000_000

Combine = Callable[[np.ndarray], np.ndarray]
"""A metric from sums: (..., K) to (...)."""


@dataclass(frozen=True)
class PairedSpread:
    """How sure a difference is: the two-sided p-value that there is none, and its standard error."""

    p_value: float
    standard_error: float


def cluster_bootstrap(
    sums_NK: np.ndarray, clusters: Sequence[Hashable], combine: Combine, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The metric `combine(sums_NK.sum(0))` with its percentile interval over resampled clusters.

    Where all resamples agree, as at a score of 100%, the interval is a point: it then says nothing about what more
    clusters would show.
    """
    totals_CK = _cluster_totals(sums_NK, clusters)
    values_R = combine(_resampled(totals_CK, resamples, seed))
    return _interval(float(combine(totals_CK.sum(axis=0))), values_R, len(sums_NK), len(totals_CK))


def paired_cluster_bootstrap(
    before_NK: np.ndarray, after_NK: np.ndarray, clusters: Sequence[Hashable], combine: Combine
) -> Interval:
    """The metric after minus the metric before, on the same items and the same resampled clusters."""
    value, changes_R, count = _paired_changes(before_NK, after_NK, clusters, combine)
    return _interval(value, changes_R, len(before_NK), count)


def paired_bootstrap_spread(
    before_NK: np.ndarray, after_NK: np.ndarray, clusters: Sequence[Hashable], combine: Combine
) -> PairedSpread:
    """p-value and standard error from the same draws as `paired_cluster_bootstrap`.

    The p-value is twice the smaller share of resamples on either side of 0, with one resample added, so that it is
    never 0: 0.001 at best with 2,000.

    Source: Davison and Hinkley, 1997, section 4.2 (the added one).
    """
    _, changes_R, _ = _paired_changes(before_NK, after_NK, clusters, combine)
    tails = (np.sum(changes_R <= 0), np.sum(changes_R >= 0))
    return PairedSpread(min(1.0, 2 * (1 + int(min(tails))) / (1 + RESAMPLES)), float(changes_R.std(ddof=1)))


def cluster_bootstrap_of(
    value: Callable[[np.ndarray], float], clusters: Sequence[Hashable], resamples: int = FEWER_RESAMPLES
) -> Interval:
    """The same for a metric that is no function of sums: `value(indices of items)`, called once per resample."""
    numbers = cluster_numbers(clusters)
    members = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    generator = np.random.default_rng(0)
    draws = (generator.integers(len(members), size=len(members)) for _ in range(resamples))
    values_R = np.array([value(np.concatenate([members[cluster] for cluster in draw])) for draw in draws])
    return _interval(float(value(np.arange(len(numbers)))), values_R, len(numbers), len(members))


def _paired_changes(
    before_NK: np.ndarray, after_NK: np.ndarray, clusters: Sequence[Hashable], combine: Combine
) -> tuple[float, np.ndarray, int]:
    """The difference, that of each resample (R,), and the number of clusters."""
    if np.shape(before_NK) != np.shape(after_NK):
        raise ValueError(f"Expected the same items twice, got {np.shape(before_NK)} and {np.shape(after_NK)}.")
    totals = [_cluster_totals(sums_NK, clusters) for sums_NK in (before_NK, after_NK)]
    before_R, after_R = (combine(_resampled(totals_CK, RESAMPLES)) for totals_CK in totals)
    value = float(combine(totals[1].sum(axis=0)) - combine(totals[0].sum(axis=0)))
    return value, after_R - before_R, len(totals[0])


def _cluster_totals(sums_NK: np.ndarray, clusters: Sequence[Hashable]) -> np.ndarray:
    sums_NK = np.asarray(sums_NK, dtype=float)
    if len(sums_NK) == 0 or len(sums_NK) != len(clusters):
        raise ValueError(f"Expected one cluster for each of at least one item, got {len(clusters)}, {len(sums_NK)}.")
    numbers = cluster_numbers(clusters)
    totals_CK = np.zeros((numbers.max() + 1, sums_NK.shape[1]))
    np.add.at(totals_CK, numbers, sums_NK)
    return totals_CK


def _resampled(totals_CK: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    """Sums of each resample, (R, K); the same draws for the same seed and number of clusters."""
    generator = np.random.default_rng(seed)
    count = len(totals_CK)
    at_once = max(1, _DRAWS_AT_ONCE // count)
    parts = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        draws = generator.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times_RC = np.bincount(draws.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append(times_RC @ totals_CK)
    return np.concatenate(parts)


def _interval(value: float, values_R: np.ndarray, items: int, clusters: int) -> Interval:
    low, high = np.quantile(values_R, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return Interval(value, float(low), float(high), items, clusters)
