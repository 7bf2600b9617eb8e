"""The cluster bootstrap: equal to theory where there is one, fast, and the same for the same seed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from sightline.stats.bootstrap import (
    cluster_bootstrap,
    cluster_bootstrap_of,
    paired_bootstrap_spread,
    paired_cluster_bootstrap,
)
from sightline.stats.intervals import clustered_standard_error
from sightline.stats.paired import paired_p_value, standard_error_of_difference

# Dims: N items, K sums.


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def sums_of(scores: np.ndarray) -> np.ndarray:
    return np.stack([scores, np.ones_like(scores)], axis=1)


def test_mean_gets_the_width_of_its_clustered_standard_error() -> None:
    rng = np.random.default_rng(0)
    scores = rng.beta(np.repeat(rng.uniform(0.5, 3, 300), 4), 1)
    clusters = [item // 4 for item in range(1200)]
    interval = cluster_bootstrap(sums_of(scores), clusters, mean)
    error = clustered_standard_error(scores.tolist(), clusters)
    assert interval.value == pytest.approx(scores.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert (interval.n, interval.clusters) == (1200, 300)


def test_two_clusters_worked_by_hand() -> None:
    """Resamples of {0, 1} average 0, 1/2 or 1, a quarter of them 0 and a quarter 1."""
    interval = cluster_bootstrap(sums_of(np.array([0.0, 1.0])), "ab", mean)
    assert (interval.value, interval.low, interval.high) == (0.5, 0.0, 1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    sums_NK = sums_of(np.random.default_rng(1).random(50))
    first, again, other = (cluster_bootstrap(sums_NK, range(50), mean, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_f1_covers_the_truth_19_times_in_20() -> None:
    rng = np.random.default_rng(2)

    def f1(counts: np.ndarray) -> np.ndarray:
        return 2 * counts[..., 0] / (2 * counts[..., 0] + counts[..., 1] + counts[..., 2])

    truth = 2 * 0.4 / (2 * 0.4 + 0.1 + 0.1)
    covered = 0
    for _ in range(300):
        outcome = rng.choice(4, p=[0.4, 0.1, 0.1, 0.4], size=200)
        interval = cluster_bootstrap(np.eye(4)[outcome], range(200), f1, resamples=400)
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 300 <= 0.98


def test_pairing_finds_a_change_that_separate_intervals_hide() -> None:
    rng = np.random.default_rng(3)
    before = (rng.random(300) < 0.5).astype(float)
    after = before.copy()
    after[np.flatnonzero(before == 0)[:12]] = 1
    alone = [cluster_bootstrap(sums_of(scores), range(300), mean) for scores in (before, after)]
    together = paired_cluster_bootstrap(sums_of(before), sums_of(after), range(300), mean)
    assert alone[0].high > alone[1].low
    assert together.value == pytest.approx(0.04) and together.low > 0


def test_the_spread_of_a_difference_goes_with_its_interval() -> None:
    """A mean over 400 items of their own clusters: error and p-value are those of the t test, within resampling."""
    rng = np.random.default_rng(6)
    before, after = rng.random(400), rng.random(400) + 0.05
    spread = paired_bootstrap_spread(sums_of(before), sums_of(after), range(400), mean)
    assert spread.standard_error == pytest.approx(
        standard_error_of_difference(before.tolist(), after.tolist(), range(400)), rel=0.05
    )
    assert spread.p_value == pytest.approx(paired_p_value(before.tolist(), after.tolist(), range(400)), abs=0.02)
    interval = paired_cluster_bootstrap(sums_of(before), sums_of(after), range(400), mean)
    assert (spread.p_value < 0.05) == (interval.low > 0 or interval.high < 0)


def test_the_p_value_of_a_bootstrap_is_never_0_and_1_without_any_change() -> None:
    zeros, ones = np.zeros(50), np.ones(50)
    assert paired_bootstrap_spread(sums_of(zeros), sums_of(ones), range(50), mean).p_value == pytest.approx(2 / 2001)
    assert paired_bootstrap_spread(sums_of(ones), sums_of(ones), range(50), mean).p_value == 1.0


def test_a_metric_that_is_no_sum_is_computed_for_each_resample() -> None:
    scores = np.random.default_rng(4).random(200)
    clusters = [item // 2 for item in range(200)]
    direct = cluster_bootstrap_of(lambda items: float(np.median(scores[items])), clusters)
    assert direct.low < np.median(scores) < direct.high
    by_mean = cluster_bootstrap_of(lambda items: float(scores[items].mean()), clusters, resamples=2000)
    by_sums = cluster_bootstrap(sums_of(scores), clusters, mean)
    assert (by_mean.low, by_mean.high) == pytest.approx((by_sums.low, by_sums.high), abs=0.01)


def test_9000_items_take_seconds() -> None:
    sums_NK = np.random.default_rng(5).random((9000, 7))
    start = time.perf_counter()
    cluster_bootstrap(sums_NK, range(9000), lambda sums: sums[..., 0] / sums[..., 1])
    assert time.perf_counter() - start < 5


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one cluster for each"):
        cluster_bootstrap(np.ones((2, 2)), "a", mean)
    with pytest.raises(ValueError, match="same items twice"):
        paired_cluster_bootstrap(np.ones((2, 2)), np.ones((3, 2)), "ab", mean)
