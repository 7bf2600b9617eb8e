"""Holm's correction: worked by hand."""

from __future__ import annotations

from sightline.stats.paired import holm


def test_holm_worked_by_hand() -> None:
    """Sorted .01 .02 .04: times 3, 2, 1 = .03 .04 .04; none may fall below the one before."""
    assert holm([0.04, 0.01, 0.02]) == [0.04, 0.03, 0.04]
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]


def test_a_single_test_stays_and_none_exceeds_one() -> None:
    assert holm([0.2]) == [0.2]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
