"""Paired comparison equals scipy's values on real results; power and Holm's correction are worked by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sightline.stats.intervals import clustered_standard_error
from sightline.stats.paired import (
    holm,
    items_for_error,
    mcnemar_exact,
    paired_difference,
    paired_p_value,
    standard_error_of_difference,
)


def test_difference_worked_by_hand() -> None:
    """Changes 1, 1, 0, 0 over two images: mean 0.5, error 0.5, t quantile 12.706, cut at 1."""
    interval = paired_difference([0, 0, 1, 1], [1, 1, 1, 1], ["a", "a", "b", "b"])
    assert (interval.value, interval.low, interval.high) == (0.5, -1.0, 1.0)
    spread = paired_difference([10, 10, 20, 20], [11, 11, 20, 20], ["a", "a", "b", "b"])
    assert (spread.low, spread.high) == pytest.approx((0.5 - 6.3531, 0.5 + 6.3531), abs=1e-3)


def test_pairing_finds_a_change_that_separate_scores_hide() -> None:
    rng = np.random.default_rng(0)
    before = (rng.random(300) < 0.5).astype(float)
    after = before.copy()
    after[np.flatnonzero(before == 0)[:12]] = 1
    assert paired_difference(before.tolist(), after.tolist(), range(300)).low > 0


def test_no_change_is_not_certainty() -> None:
    interval = paired_difference([1, 0, 1], [1, 0, 1], "abc")
    assert interval.value == 0 and interval.low < 0 < interval.high


def test_one_cluster_says_nothing_about_others() -> None:
    assert math.isnan(paired_difference([1, 0], [0, 0], ["a", "a"]).high)


def test_mcnemar_worked_by_hand() -> None:
    """5 improved, 1 worsened: 2 * (1 + 6) / 2**6 = 0.21875."""
    assert mcnemar_exact([0, 0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 0, 1]) == pytest.approx(0.21875)
    assert mcnemar_exact([1, 0], [1, 0]) == 1.0


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="same items twice"):
        paired_difference([1], [1, 0], "ab")
    with pytest.raises(ValueError, match="one cluster for each item"):
        paired_difference([1, 0], [1, 0], "a")
    with pytest.raises(ValueError, match="scores of 0 or 1"):
        mcnemar_exact([0.3], [1.0])


def test_real_results_give_the_reference_p_values(shared: Path) -> None:
    data = json.loads((shared / "conformance" / "paired_real_mathvista.json").read_text())
    bits = {name: [int(bit) for bit in text] for name, text in data["correct"].items()}
    for case in data["cases"]:
        assert mcnemar_exact(bits[case["a"]], bits[case["b"]]) == pytest.approx(case["mcnemar_exact_p"], rel=1e-9)
        difference = paired_difference(bits[case["b"]], bits[case["a"]], data["image_of_pid"])
        assert difference.value == pytest.approx(case["diff"])


def test_p_value_worked_by_hand() -> None:
    """Changes 1, 1, 0, 0 over four items: mean 0.5, error sqrt(1/3) / 2, t = 1.732, 3 degrees of freedom: 0.1817."""
    assert paired_p_value([0, 0, 1, 1], [1, 1, 1, 1], range(4)) == pytest.approx(0.18169, abs=1e-5)
    assert paired_p_value([1, 0], [1, 0], "ab") == 1.0


def test_changes_without_spread_are_judged_by_their_signs() -> None:
    assert paired_p_value([0] * 6, [1] * 6, range(6)) == 2 * 0.5**6
    assert paired_p_value([0, 1], [1, 0], ["a", "a"]) == 1.0
    assert paired_p_value([0], [1], "a") == 1.0


def test_paired_t_tests_equal_those_of_lmms_eval(shared: Path) -> None:
    for case in json.loads((shared / "conformance" / "paired_ttest.json").read_text())["cases"]:
        expected, items = case["expected"], range(len(case["current"]))
        interval = paired_difference(case["baseline"], case["current"], items)
        assert interval.value == pytest.approx(expected["mean_diff"]), case["id"]
        if case["id"] in ("same", "tiny_n"):  # no spread at all: lmms-eval is certain, p 1 or 0; we are not
            assert interval.low < expected["mean_diff"] or interval.high > expected["mean_diff"]
            continue
        assert (interval.low, interval.high) == pytest.approx((expected["ci_lower"], expected["ci_upper"]), abs=1e-9)
        p_value = paired_p_value(case["baseline"], case["current"], items)
        assert p_value == pytest.approx(expected["p_value"], rel=1e-6), case["id"]


def test_real_results_give_the_reference_errors(shared: Path) -> None:
    """`mcnemar_chi2_cc` is left out: an approximation of the exact test, which is computed above."""
    data = json.loads((shared / "conformance" / "paired_real_mathvista.json").read_text())
    bits = {name: [int(bit) for bit in text] for name, text in data["correct"].items()}
    pictures, items = data["image_of_pid"], range(len(data["pids"]))
    for case in data["cases"]:
        before, after = bits[case["b"]], bits[case["a"]]
        assert standard_error_of_difference(before, after, items) == pytest.approx(case["se_paired"], abs=1e-12)
        clustered = standard_error_of_difference(before, after, pictures)
        assert clustered == pytest.approx(case["se_paired_clustered_by_image"], rel=2e-3)
        assert paired_p_value(before, after, items) == pytest.approx(case["t_paired_p"], rel=1e-6)
        apart = [clustered_standard_error(side, items) for side in (before, after)]
        assert math.hypot(*apart) == pytest.approx(case["se_unpaired"], rel=1e-3)


def items_needed(before: Sequence[float], after: Sequence[float], clusters: Sequence[int], difference: float) -> int:
    error = standard_error_of_difference(before, after, clusters)
    return items_for_error(len(before), error, difference)


def test_items_needed_worked_by_hand() -> None:
    """Changes 1, -1, 0, 0 have a sample variance of 2/3; (1.95996 + 0.84162)^2 * 2/3 / 0.1^2 = 523.3."""
    before, after = [0, 1, 0, 1], [1, 0, 0, 1]
    assert items_needed(before, after, range(4), 0.1) == 524


def test_so_many_items_show_the_difference_four_times_in_five() -> None:
    rng = np.random.default_rng(0)

    def runs(items: int) -> tuple[np.ndarray, np.ndarray]:
        change = rng.choice([-1, 0, 1], p=[0.1, 0.75, 0.15], size=items)
        before = np.where(change == 0, rng.integers(0, 2, items), (1 - change) / 2)
        return before, before + change

    before, after = runs(4000)
    needed = items_needed(before.tolist(), after.tolist(), range(4000), 0.05)
    found = 0
    for _ in range(400):
        old, new = runs(needed)
        found += paired_p_value(old.tolist(), new.tolist(), range(needed)) < 0.05
    assert 0.74 <= found / 400 <= 0.86


def test_clusters_that_agree_need_more_items() -> None:
    before, after = [0] * 20, [1, 1, 0, 0] * 5
    pairs = [item // 2 for item in range(20)]
    assert items_needed(before, after, pairs, 0.1) > 1.8 * items_needed(before, after, range(20), 0.1)


def test_two_equal_systems_still_need_items() -> None:
    assert items_needed([1] * 50, [1] * 50, range(50), 0.01) > 1000


def test_a_difference_or_power_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="No number of items shows a difference of 0"):
        items_for_error(4, 0.1, 0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        items_for_error(4, 0.1, 0.1, power=1)


def test_holm_worked_by_hand() -> None:
    """Sorted .01 .02 .04: times 3, 2, 1 = .03 .04 .04; none may fall below the one before."""
    assert holm([0.04, 0.01, 0.02]) == [0.04, 0.03, 0.04]
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]


def test_a_single_test_stays_and_none_exceeds_one() -> None:
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
