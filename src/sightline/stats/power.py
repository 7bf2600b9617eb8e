"""How many items it takes to see a difference between two systems, judging by items that both have answered."""

from __future__ import annotations

import math

from scipy import stats

from sightline.stats.intervals import normal_quantile

POWER = 0.8


def items_for_error(items: int, standard_error: float, difference: float, power: float = POWER) -> int:
    """Items on which a true `difference` is found with probability `power`, given its standard error on `items`.

    Found: a two-sided paired test at 5%. Items come in clusters as these do, and change as much.

    Source: E. Miller, 2024, "Adding error bars to evals", section 5, with paired, clustered errors.
    """
    if difference == 0:
        raise ValueError("No number of items shows a difference of 0; give the smallest that matters, such as 0.01.")
    return math.ceil(items * (_standard_errors(power) * standard_error / difference) ** 2)


def _standard_errors(power: float) -> float:
    if not 0 < power < 1:
        raise ValueError(f"Power is a probability between 0 and 1, got {power}.")
    return normal_quantile() + float(stats.norm.ppf(power))
