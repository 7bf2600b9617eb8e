"""How many items it takes to see a difference between two systems, judging by items that both have answered."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from scipy import stats

from sightline.stats.intervals import normal_quantile
from sightline.stats.paired import standard_error_of_difference

POWER = 0.8


def items_needed(
    before: Sequence[float],
    after: Sequence[float],
    clusters: Sequence[Hashable],
    difference: float,
    power: float = POWER,
) -> int:
    """Items, clustered as these are, on which a true `difference` of mean scores is found with probability `power`.

    Found: a two-sided paired test at 5%. The spread of the change per item is taken from these items.

    Source: E. Miller, 2024, "Adding error bars to evals", section 5, with paired, clustered errors.
    """
    return items_for_error(len(before), standard_error_of_difference(before, after, clusters), difference, power)


def items_for_error(items: int, standard_error: float, difference: float, power: float = POWER) -> int:
    """The same for any metric whose difference has this standard error on so many items."""
    if difference == 0:
        raise ValueError("No number of items shows a difference of 0; give the smallest that matters, such as 0.01.")
    return math.ceil(items * (_standard_errors(power) * standard_error / difference) ** 2)


def smallest_difference(
    before: Sequence[float], after: Sequence[float], clusters: Sequence[Hashable], power: float = POWER
) -> float:
    """The true difference of mean scores that these items show with probability `power`."""
    return _standard_errors(power) * standard_error_of_difference(before, after, clusters)


def _standard_errors(power: float) -> float:
    if not 0 < power < 1:
        raise ValueError(f"Power is a probability between 0 and 1, got {power}.")
    return normal_quantile() + float(stats.norm.ppf(power))
