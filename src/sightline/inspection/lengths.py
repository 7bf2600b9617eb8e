"""Hold every row against the run's limits: kept, cut, dropped or refused."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from sightline.data.encoding.checks import ReadRows
from sightline.data.encoding.fit import DROPPING

COUNTS = ("total", "trained", "placeholders")  # of a row
SHOWN = 3  # messages about rows of a kind


@dataclass(frozen=True)
class KeptRow:
    """A row that trains, in tokens of all its sequences together.

    Attributes:
        index: where it stands in the dataset.
        placeholders: tokens that stand for features.
    """

    index: int
    tokens: int
    trained: int
    placeholders: int


@dataclass(frozen=True)
class RowsReport:
    """What a run makes of its rows.

    Attributes:
        kept: rows that train.
        cut: how many of them lose the end of their answer or text of their prompt.
        dropped: rows that `length_policy` leaves out.
        refused: rows that `length_policy` refuses, so that the run does not start.
        answerless: those of them whose answer `max_length` would cut off whole.
        untrained: kept rows without a trained token.
        broken: rows that cannot be read, for another reason than their length.
        longest: tokens of the longest sequence before anything was cut.
        median: tokens of the middle kept sequence.
        messages: the first about rows that are refused or broken.
    """

    rows: int
    kept: tuple[KeptRow, ...]
    cut: int = 0
    dropped: int = 0
    refused: int = 0
    answerless: int = 0
    untrained: int = 0
    broken: int = 0
    longest: int = 0
    median: int = 0
    messages: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of all kept rows."""
        return sum(row.tokens for row in self.kept)

    @property
    def trained(self) -> int:
        """Trained tokens of all kept rows."""
        return sum(row.trained for row in self.kept)

    @property
    def placeholders(self) -> int:
        """Tokens of images of all kept rows."""
        return sum(row.placeholders for row in self.kept)


def report_rows(read: ReadRows) -> RowsReport:
    """What reading the rows of a run found, in numbers."""
    kept = [KeptRow(index, *(int(read.counts_N[name][index]) for name in COUNTS)) for index in read.kept]
    lengths = [int(read.counts_N["tokens"][row.index]) for row in kept]
    too_long = list(read.too_long.values())
    dropping = read.encoder.settings.length_policy in DROPPING
    return RowsReport(
        rows=len(read),
        kept=tuple(kept),
        cut=read.cut,
        dropped=len(too_long) if dropping else 0,
        refused=0 if dropping else len(too_long),
        answerless=sum(error.answerless for error in too_long),
        untrained=sum(row.trained == 0 for row in kept),
        broken=len(read.broken),
        longest=read.longest,
        median=int(statistics.median(lengths)) if lengths else 0,
        messages=(*map(str, too_long[:SHOWN]), *list(read.broken.values())[:SHOWN]),
    )
