"""Intervals: worked by hand, equal to published tools, and covering the truth as often as they claim."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from sightline.stats.intervals import (
    cluster_bootstrap,
    cluster_bootstrap_of,
    clustered_mean,
    clustered_standard_error,
    paired_bootstrap_spread,
    paired_cluster_bootstrap,
    wilson,
)
from sightline.stats.paired import paired_p_value, standard_error_of_difference


def test_wilson_equals_the_formula_worked_by_hand() -> None:
    """8 of 10, z = 1.96: centre (0.8 + 0.19207) / 1.38415 = 0.71674, half 1.95996 / 1.38415 * 0.16001 = 0.22657."""
    interval = wilson(8, 10)
    assert (interval.low, interval.high) == pytest.approx((0.49016, 0.94331), abs=1e-4)


def test_wilson_is_never_certain() -> None:
    assert wilson(0, 20).low == 0 and 0.1 < wilson(0, 20).high < 0.2
    assert wilson(20, 20).high == 1 and 0.8 < wilson(20, 20).low < 0.9
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0, 0)


def test_standard_error_of_two_clusters_worked_by_hand() -> None:
    """Mean 0.5; residual sums 1 and -1; sqrt(2 / 1 * (1 + 1)) / 4 = 0.5, where independent items give 0.2887."""
    assert clustered_standard_error([1, 1, 0, 0], ["a", "a", "b", "b"]) == pytest.approx(0.5)
    assert clustered_standard_error([1, 1, 0, 0], [1, 2, 3, 4]) == pytest.approx(math.sqrt(1 / 3) / 2)


def test_shares_of_items_that_are_their_own_clusters_get_wilsons_interval() -> None:
    interval = clustered_mean([1] * 8 + [0] * 2, range(10))
    assert (interval.value, interval.low, interval.high) == (0.8, wilson(8, 10).low, wilson(8, 10).high)
    assert (interval.n, interval.clusters) == (10, 10)


def test_clusters_widen_the_interval_when_their_items_agree() -> None:
    scores = [1] * 30 + [0] * 20
    alone, together = clustered_mean(scores, range(50)), clustered_mean(scores, [item // 5 for item in range(50)])
    assert together.high - together.low > 1.8 * (alone.high - alone.low)
    assert together.clusters == 10


def test_all_right_counts_clusters_not_items() -> None:
    assert clustered_mean([1] * 50, [item // 5 for item in range(50)]).low == wilson(10, 10).low


def test_scores_between_get_students_interval() -> None:
    """Mean 0.5, standard error sqrt(0.02 / 2) = 0.1, t quantile with one degree of freedom 12.706."""
    interval = clustered_mean([0.4, 0.6], ["a", "b"])
    assert (interval.low, interval.high) == pytest.approx((0.5 - 1.2706, 0.5 + 1.2706), abs=1e-4)


def test_one_cluster_says_nothing_about_others() -> None:
    assert math.isnan(clustered_mean([0.2, 0.4], ["a", "a"]).low)
    assert clustered_mean([1, 0], ["a", "a"]).high - clustered_mean([1, 0], ["a", "a"]).low > 0.8


@pytest.mark.parametrize("values", [[], [1.0]])
def test_values_and_clusters_must_match(values: list[float]) -> None:
    with pytest.raises(ValueError, match="one cluster for each"):
        clustered_mean(values, ["a", "b"])


def test_interval_covers_the_truth_19_times_in_20_when_items_of_an_image_agree() -> None:
    """40 images of 6 questions; an image's difficulty is drawn once, so items are far from independent."""
    rng = np.random.default_rng(0)
    clusters = [item // 6 for item in range(240)]
    covered = 0
    for _ in range(400):
        ease = rng.beta(2, 1, size=40)
        scores = (rng.random(240) < np.repeat(ease, 6)).astype(float)
        interval = clustered_mean(scores.tolist(), clusters)
        covered += interval.low <= 2 / 3 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_standard_errors_equal_those_of_inspect(shared: Path) -> None:
    for case in json.loads((shared / "conformance" / "stderr.json").read_text())["cases"]:
        if len(set(case["clusters"])) > 1:
            ours = clustered_standard_error(case["scores"], case["clusters"])
            assert ours == pytest.approx(case["inspect_clustered_stderr"], abs=1e-12), case["id"]


def test_standard_errors_equal_those_of_lmms_eval_but_for_the_factor_of_few_clusters(shared: Path) -> None:
    """lmms-eval adds covariances within clusters to the variance of independent items, n / (n - 1) in that part alone.

    One cluster says nothing about others and is refused, where lmms-eval gives a number or not a number.
    """
    for case in json.loads((shared / "conformance" / "stderr.json").read_text())["cases"]:
        scores, clusters = case["scores"], case["clusters"]
        if len(scores) > 1:
            alone = clustered_standard_error(scores, range(len(scores)))
            assert alone == pytest.approx(case["lmms_eval_mean_stderr"], abs=1e-12), case["id"]
            assert alone == pytest.approx(case["inspect_stderr"], abs=1e-12), case["id"]
        if (count := len(set(clusters))) > 1:
            variance = clustered_standard_error(scores, clusters) ** 2 * (count - 1) / count + alone**2 / len(scores)
            assert math.sqrt(variance) == pytest.approx(case["lmms_eval_clustered_stderr"], abs=1e-12), case["id"]
        else:
            with pytest.raises(ValueError, match="at least two clusters"):
                clustered_standard_error(scores, clusters)


def test_intervals_of_scores_between_equal_those_of_inspect(shared: Path) -> None:
    """Scores of 0 and 1 get Wilson's interval, which stays within 0 and 1 where inspect's may not."""
    cases = json.loads((shared / "conformance" / "stderr.json").read_text())["cases"]
    (case,) = [case for case in cases if case["id"] == "continuous_anls"]
    expected = case["inspect_ci95_t_clustered"]
    interval = clustered_mean(case["scores"], case["clusters"])
    assert (interval.low, interval.high) == pytest.approx((expected["lower"], expected["upper"]), abs=1e-9)


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
