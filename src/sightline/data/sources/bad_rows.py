"""List the first rows that cannot be used with the reason, or leave such rows out and count them."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sightline.errors import DataError
from sightline.launch.processes import say

SHOWN_ROWS = 10
OFFER = "Or leave such rows out, counted, by --skip_bad_rows."


def listed(problems: Sequence[str]) -> str:
    """The first problems, one a line, and how many more there are."""
    more = len(problems) - SHOWN_ROWS
    return "\n".join([*problems[:SHOWN_ROWS], *([f"... and {more:,} more rows."] if more > 0 else [])])


def left_out(source: str, problems: Sequence[str], rows: int, when: str = "") -> str:
    """What is said of rows that are left out of so many."""
    return f"{source}: {len(problems):,} of {rows:,} rows cannot be used and are left out{when}:\n{listed(problems)}"


@functools.cache
def say_once(text: str) -> None:
    """Says a line about a stream, which is read anew in each pass."""
    say(text)


@dataclass
class BadRows:
    """Collects what is wrong with rows that are read one after another, maybe several times.

    Attributes:
        skip: whether they are left out in the end; `settle` else refuses them, all at once.
        places: of every row that was read, its number in the order of reading.
    """

    skip: bool = False
    places: dict[Hashable, int] = field(default_factory=dict)
    _problems: dict[Hashable, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What is wrong with each bad row, in the order of rows."""
        return [self._problems[key] for key in sorted(self._problems, key=self.places.__getitem__)]

    @contextmanager
    def of_row(self, key: Hashable) -> Iterator[None]:
        """Inside, a row is read; where it cannot be used, that is noted, and the rows behind it are read all the same.

        Args:
            key: what tells the row from others.
        """
        self.places.setdefault(key, len(self.places))
        try:
            yield
        except DataError as error:
            self.note(key, error)

    def note(self, key: Hashable, error: DataError) -> None:
        """A row that cannot be used, and why."""
        self.places.setdefault(key, len(self.places))
        self._problems.setdefault(key, str(error))

    def holds(self, key: Hashable) -> bool:
        """Whether a row is bad."""
        return key in self._problems

    def forget_behind(self, key: Hashable) -> None:
        """Forgets the rows that were read behind one, as where a limit ends with it."""
        last = self.places[key]
        for one in [one for one, place in self.places.items() if place > last]:
            del self.places[one]
            self._problems.pop(one, None)

    def settle(self, good: int) -> None:
        """Nothing where every row is good, or where bad ones may be left out and `good` ones remain.

        Raises:
            DataError: the first bad rows and how many there are.
        """
        if not self._problems:
            return
        if not self.skip:
            raise DataError(f"{listed(self.problems)} {OFFER}")
        if not good:
            raise DataError(f"None of {len(self.places):,} rows can be used. The first: {listed(self.problems)}")
