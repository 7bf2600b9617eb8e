"""Hold every row against the run's limits: kept, cut, dropped or refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.data.encoding.checks import ReadRows
from sightline.data.encoding.fit import DROPPING

SHOWN = 3  # messages about rows of a kind


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
        tokens: of all sequences of all kept rows.
        trained: those of them that are trained.
        placeholders: those of them that stand for features.
    """

    rows: int
    kept: int
    cut: int
    dropped: int
    refused: int
    answerless: int
    untrained: int
    broken: int
    longest: int
    median: int
    messages: tuple[str, ...]
    tokens: int
    trained: int
    placeholders: int


def report_rows(read: ReadRows) -> RowsReport:
    """What reading the rows of a run found, in numbers."""
    counts_N = read.counts_N[read.kept]
    too_long = list(read.too_long.values())
    dropping = read.encoder.settings.length_policy in DROPPING
    return RowsReport(
        rows=len(read),
        kept=len(counts_N),
        cut=read.cut,
        dropped=len(too_long) if dropping else 0,
        refused=0 if dropping else len(too_long),
        answerless=sum(error.answerless for error in too_long),
        untrained=int((counts_N["trained"] == 0).sum()),
        broken=len(read.broken),
        longest=read.longest,
        median=int(np.median(counts_N["tokens"])) if len(counts_N) else 0,
        messages=(*map(str, too_long[:SHOWN]), *list(read.broken.values())[:SHOWN]),
        tokens=int(counts_N["total"].sum()),
        trained=int(counts_N["trained"].sum()),
        placeholders=int(counts_N["placeholders"].sum()),
    )
