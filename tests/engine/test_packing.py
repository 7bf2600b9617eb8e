"""Units dealt to rows: by hand, and as properties of random units."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from sightline.engine.packing import Unit, deal_rows


def units_of(*sizes: tuple[int, int]) -> list[Unit]:
    """Units of (tokens, images), one example each."""
    return [Unit((index,), tokens, images) for index, (tokens, images) in enumerate(sizes)]


def tokens_of(rows: list[list[Unit]]) -> list[int]:
    return sorted(sum(unit.tokens for unit in row) for row in rows)


def test_large_units_come_first_and_small_ones_even_the_rows() -> None:
    """24 tokens need 3 rows of 10. 7, 6 and 5 open a row each, 4 joins 5, 2 joins 6: 7, 8 and 9."""
    rows = deal_rows(units_of((2, 1), (7, 1), (4, 1), (5, 1), (6, 1)), max_tokens=10)
    assert tokens_of(rows) == [7, 8, 9]
    assert sorted(sorted(unit.tokens for unit in row) for row in rows) == [[2, 6], [4, 5], [7]]


def test_the_image_budget_makes_more_rows_and_leaves_room_for_text() -> None:
    """Three units of two images each need three rows of two; the text joins any of them."""
    rows = deal_rows(units_of((2, 2), (2, 2), (2, 2), (3, 0)), max_tokens=10, max_images=2)
    assert len(rows) == 3
    assert tokens_of(rows) == [2, 2, 5]


def test_a_row_is_added_where_the_fewest_that_tokens_allow_do_not_do() -> None:
    """Three units of 6 tokens are 18 tokens, less than two rows of 10 hold, but no two fit one row."""
    assert tokens_of(deal_rows(units_of((6, 1), (6, 1), (6, 1)), max_tokens=10)) == [6, 6, 6]


def test_rows_fill_whole_batches_where_there_are_units_enough() -> None:
    assert len(deal_rows(units_of(*[(2, 1)] * 12), max_tokens=10, multiple=4)) == 4
    assert len(deal_rows(units_of(*[(5, 1)] * 6), max_tokens=10, multiple=8)) == 3, "six units cannot fill eight rows"


UNITS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=60)


@given(UNITS, st.integers(60, 200), st.one_of(st.none(), st.integers(3, 6)), st.integers(1, 4))
def test_each_unit_stands_in_one_row_within_both_budgets(
    sizes: list[tuple[int, int]], max_tokens: int, max_images: int | None, multiple: int
) -> None:
    rows = deal_rows(units_of(*sizes), max_tokens, max_images, multiple)
    assert sorted(unit.members[0] for row in rows for unit in row) == list(range(len(sizes)))
    assert all(sum(unit.tokens for unit in row) <= max_tokens for row in rows)
    assert max_images is None or all(sum(unit.images for unit in row) <= max_images for row in rows)
    assert all(rows)


@given(st.lists(st.integers(1, 50), min_size=40, max_size=200))
def test_rows_are_few_and_of_like_length(sizes: list[int]) -> None:
    """At most one row more than the tokens need in eight, and no row shorter than the longest by more than a unit."""
    rows = deal_rows(units_of(*[(tokens, 1) for tokens in sizes]), max_tokens=100)
    fewest = math.ceil(sum(sizes) / 100)
    assert len(rows) <= math.ceil(1.125 * fewest) + 1
    lengths = tokens_of(rows)
    assert lengths[-1] - lengths[0] <= max(sizes)


def test_the_seed_decides_among_units_of_one_size_and_nothing_else() -> None:
    units = units_of(*[(10 + index % 3, 1) for index in range(60)])
    first, again, other = (deal_rows(units, 60, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert tokens_of(first) == tokens_of(other)


@pytest.mark.slow
def test_half_a_million_units_are_dealt_in_seconds() -> None:
    units = [Unit((index,), 100 + index * 7919 % 900, 1) for index in range(100_000)]
    rows = deal_rows(units, 4096, max_images=8)
    assert len(rows) <= 1.02 * math.ceil(sum(unit.tokens for unit in units) / 4096)
