"""Paired comparison: worked by hand and equal to scipy's values on real results."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sightline.stats.paired import mcnemar_exact, paired_difference


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
