"""Hold every row against the run's limits: kept, cut, dropped or refused."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sightline.data.encoding.fit import DROPPING
from sightline.data.encoding.lengths import RowReader
from sightline.errors import DataError, TooLongError
from sightline.inspection.plan import PlannedRun
from sightline.inspection.tokens import trained

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]
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


def read_rows_of(plan: PlannedRun, track: Track) -> RowsReport:
    """Each row read as training reads it, its images by their sizes alone.

    Raises:
        DataError: an image cannot be read.
    """
    reader = RowReader(plan.rows, plan.name, plan.encoder, plan.preferences, track)
    limit, policy = plan.encoding.max_length, plan.encoding.length_policy
    kept: list[KeptRow] = []
    lengths: list[int] = []
    too_long: list[TooLongError] = []
    broken: list[str] = []
    cut = longest = 0
    for index in track(range(len(reader)), len(reader), "Reading rows"):
        try:
            row = reader.read(index)
        except TooLongError as error:
            too_long.append(error)
            longest = max(longest, error.tokens)
            continue
        except DataError as error:
            broken.append(str(error))
            continue
        sequences = row.sequences
        kept.append(
            KeptRow(
                index,
                sum(len(one.ids_L) for one in sequences),
                sum(int(trained(one).sum()) for one in sequences),
                sum(int((one.feature_L >= 0).sum()) for one in sequences),
            )
        )
        lengths.append(max(len(one.ids_L) for one in sequences))
        longest = max(longest, row.length)
        cut += limit is not None and row.length > limit
    dropping = policy in DROPPING
    return RowsReport(
        rows=len(reader),
        kept=tuple(kept),
        cut=cut,
        dropped=len(too_long) if dropping else 0,
        refused=0 if dropping else len(too_long),
        answerless=sum(error.answerless for error in too_long),
        untrained=sum(row.trained == 0 for row in kept),
        broken=len(broken),
        longest=longest,
        median=int(statistics.median(lengths)) if lengths else 0,
        messages=(*map(str, too_long[:SHOWN]), *broken[:SHOWN]),
    )
