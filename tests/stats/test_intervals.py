"""Intervals: worked by hand, equal to published tools, and covering the truth as often as they claim."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sightline.stats.intervals import clustered_mean, clustered_standard_error, wilson


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
