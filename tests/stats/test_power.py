"""Power: worked by hand, and true in simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sightline.stats.paired import items_for_error, paired_p_value, standard_error_of_difference


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


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="No number of items shows a difference of 0"):
        items_for_error(4, 0.1, 0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        items_for_error(4, 0.1, 0.1, power=1)
