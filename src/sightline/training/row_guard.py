"""Leave out and count rows that turn out bad in the middle of training, on request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sightline.data.sources.bad_rows import SHOWN_ROWS
from sightline.data.tables import is_table
from sightline.errors import DataError
from sightline.training.planned_rows import PlannedRows
from sightline.training.row_names import find_row

UNNAMED = "row 1 of the batch"


@dataclass
class RowGuard:
    """Makes batches; a picture that was good before training may be gone, cut or locked when its batch comes.

    Attributes:
        rows: where those of a batch are looked up for their names.
        skip: leave bad rows out; else they raise what making the batch does. A batch of which none is left has the last
            good row once more.
        left_out: how many were, in this process.
    """

    rows: tuple[PlannedRows, ...] = ()
    skip: bool = False
    left_out: int = 0
    _spare: Any = None

    def batch(self, make: Callable[[list[Any]], dict[str, Any]], rows: list[Any]) -> dict[str, Any]:
        """What `make` makes of the rows, or of those that are good.

        Raises:
            DataError: a row that cannot be used.
        """
        if not self.skip:
            return make(rows)
        try:
            made = make(rows)
        except DataError:
            good, problems = self._apart(make, rows)
            if not problems:
                raise
            self._say(problems)
            rows = good or [row for row in (self._spare,) if row is not None]
            if not rows:
                raise DataError(f"{problems[0]} It is the first batch, and none of its rows is left.") from None
            made = make(rows)
        self._spare = rows[0]
        return made

    def _apart(self, make: Callable[[list[Any]], dict[str, Any]], rows: list[Any]) -> tuple[list[Any], list[str]]:
        """The rows that are good alone, and what is wrong with the others; packed ones lose their bad examples."""
        good: list[Any] = []
        problems: list[str] = []
        for row in rows:
            packed = isinstance(row, list)
            kept = []
            for example in row if packed else [row]:
                try:
                    make([[example]] if packed else [example])
                except DataError as error:
                    problems.append(str(error).replace(UNNAMED, self._name(example), 1))
                else:
                    kept.append(example)
            if kept:
                good.append(kept if packed else kept[0])
        return good, problems

    def _name(self, row: dict[str, Any]) -> str:
        """What messages call the row where it was read."""
        names = (find_row(rows.dataset, rows.name, row) for rows in self.rows if is_table(rows.dataset))
        return next(filter(None, names), "a row")

    def _say(self, problems: list[str]) -> None:
        for problem in problems:
            self.left_out += 1
            if self.left_out <= SHOWN_ROWS:
                print(f"Left out: {problem}", file=sys.stderr)
            elif self.left_out & (self.left_out - 1) == 0:  # at powers of two
                print(f"Left out: {self.left_out:,} rows by now. The last: {problem}", file=sys.stderr)
