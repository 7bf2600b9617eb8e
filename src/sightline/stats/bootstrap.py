"""95% intervals of any metric by drawing whole clusters (pictures) again: percentiles of the resampled values.

A metric that is a function of sums over items is resampled in one matrix product; any other is computed anew for each
resample, which is why it gets fewer.

Source: Davison and Hinkley, 1997, "Bootstrap methods and their application", chapter 2 (percentile) and 3.8 (clusters).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence as Many

import numpy as np

from sightline.stats.intervals import LEVEL, cluster_numbers
from sightline.types import Interval

# Dims: N items, C clusters, K sums, R resamples.
RESAMPLES = 2_000
FEWER_RESAMPLES = 200
_DRAWS_AT_ONCE = 4_000_000

Combine = Callable[[np.ndarray], np.ndarray]
"""A metric from sums: (..., K) to (...)."""


def cluster_bootstrap(
    sums_NK: np.ndarray, clusters: Many[Hashable], combine: Combine, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The metric `combine(sums_NK.sum(0))` with its percentile interval over resampled clusters.

    Where all resamples agree, as at a score of 100%, the interval is a point: it then says nothing about what more
    clusters would show.
    """
    totals_CK = _cluster_totals(sums_NK, clusters)
    values_R = combine(_resampled(totals_CK, resamples, seed))
    return _interval(float(combine(totals_CK.sum(axis=0))), values_R, len(sums_NK), len(totals_CK))


def paired_cluster_bootstrap(
    before_NK: np.ndarray,
    after_NK: np.ndarray,
    clusters: Many[Hashable],
    combine: Combine,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The metric after minus the metric before, on the same items and the same resampled clusters."""
    if np.shape(before_NK) != np.shape(after_NK):
        raise ValueError(f"Expected the same items twice, got {np.shape(before_NK)} and {np.shape(after_NK)}.")
    totals = [_cluster_totals(sums_NK, clusters) for sums_NK in (before_NK, after_NK)]
    before_R, after_R = (combine(_resampled(totals_CK, resamples, seed)) for totals_CK in totals)
    value = float(combine(totals[1].sum(axis=0)) - combine(totals[0].sum(axis=0)))
    return _interval(value, after_R - before_R, len(before_NK), len(totals[0]))


def cluster_bootstrap_of(
    value: Callable[[np.ndarray], float],
    clusters: Many[Hashable],
    resamples: int = FEWER_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The same for a metric that is no function of sums: `value(indices of items)`, called once per resample."""
    numbers = cluster_numbers(clusters)
    members = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    generator = np.random.default_rng(seed)
    draws = (generator.integers(len(members), size=len(members)) for _ in range(resamples))
    values_R = np.array([value(np.concatenate([members[cluster] for cluster in draw])) for draw in draws])
    return _interval(float(value(np.arange(len(numbers)))), values_R, len(numbers), len(members))


def _cluster_totals(sums_NK: np.ndarray, clusters: Many[Hashable]) -> np.ndarray:
    sums_NK = np.asarray(sums_NK, dtype=float)
    if len(sums_NK) == 0 or len(sums_NK) != len(clusters):
        raise ValueError(f"Expected one cluster for each of at least one item, got {len(clusters)}, {len(sums_NK)}.")
    numbers = cluster_numbers(clusters)
    totals_CK = np.zeros((numbers.max() + 1, sums_NK.shape[1]))
    np.add.at(totals_CK, numbers, sums_NK)
    return totals_CK


def _resampled(totals_CK: np.ndarray, resamples: int, seed: int) -> np.ndarray:
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
