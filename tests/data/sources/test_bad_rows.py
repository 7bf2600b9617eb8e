"""What is wrong with rows is kept in the order of reading, and forgotten where a limit ends before it."""

from __future__ import annotations

from sightline.data.sources.bad_rows import BadRows
from sightline.errors import DataError


def test_rows_behind_the_last_one_that_counts_are_forgotten() -> None:
    bad = BadRows(skip=True)
    for row in range(6):
        with bad.of_row(row):
            if row in (1, 4):
                raise DataError(f"row {row} is bad.")
    bad.forget_behind(2)
    assert bad.problems == ["row 1 is bad."] and len(bad.places) == 3
    bad.settle(2)
