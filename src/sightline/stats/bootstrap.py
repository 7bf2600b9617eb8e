"""95% intervals of any metric by resampling whole clusters (images).

A metric that is a function of sums over items is resampled in one matrix product; any other is computed anew for each
resample, which is why it gets fewer.

Source: Davison and Hinkley, 1997, "Bootstrap methods and their application", chapter 2 (percentile) and 3.8 (clusters).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.stats.intervals import LEVEL, cluster_numbers
from sightline.types import Interval

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
