"""Check datasets: one pass over training and evaluation data, then a search for duplicates and leaks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sightline.data.checking.duplicates import (
    Leaks,
    distinct_pictures,
    find_leaks,
    find_picture_duplicates,
    find_row_duplicates,
    row_contents,
)
from sightline.data.checking.findings import ERROR, EVAL_ROWS, PICTURES, ROWS, Example, Finding, Findings
from sightline.data.checking.rows import RowCheck
from sightline.data.checking.scan import Progress, Scan, scan
from sightline.data.sources.bad_rows import SHOWN_ROWS
from sightline.data.sources.datasets import RowNames
from sightline.errors import DataError
from sightline.types import Interval

if TYPE_CHECKING:
    from datasets import Dataset

    from sightline.data.formats.converted import TrainingRows

FREQUENT = 10
MAJORITY = 0.5
MAJORITY_ANSWERS = 20
LARGE_SHARE = 0.6


@dataclass(frozen=True)
class Source:
    """Rows to check, by the name that messages call them.

    Attributes:
        broken: why lines and records are no rows, which were left out.
    """

    name: str
    dataset: Dataset
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class LengthBias:
    """Lengths of the two answers of preference pairs, with intervals clustered by picture.

    Attributes:
        extra_words: how many words longer the chosen answer is, on average.
        longer_share: how often it is the longer one, among pairs whose lengths differ; None where none do.
    """

    pairs: int
    extra_words: Interval
    longer_share: Interval | None


@dataclass(frozen=True)
class PictureSummary:
    """Pictures of a dataset: those stored, those whose pixels differ, how often rows show one, sides and formats."""

    stored: int
    distinct: int
    shown: int
    width: tuple[int, int, int]
    height: tuple[int, int, int]
    formats: dict[str, int]


@dataclass(frozen=True)
class AnswerSummary:
    """How often answers are given, and the most frequent of the short ones that are given more than once."""

    given: int
    frequent: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class DataCheck:
    """What is in a dataset.

    Attributes:
        rows: of the source; `trained_rows` are those that training makes of them, which findings count.
        parts: rows by the column `source`, where there is one.
        scripts: rows by script.
        languages: rows by language, as ISO 639 codes.
        lengths: how much longer chosen answers are than rejected ones; None without preferences.
        findings: the worst kinds first.
    """

    source: str
    rows: int
    trained_rows: int
    columns: tuple[str, ...]
    pictures: PictureSummary
    parts: dict[str, int]
    scripts: dict[str, int]
    languages: dict[str, int]
    answers: AnswerSummary
    lengths: LengthBias | None
    leaks: tuple[Leaks, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found that keeps rows from training, or an evaluation from meaning anything."""
        return all(finding.severity != ERROR for finding in self.findings)


@dataclass(frozen=True)
class Checked:
    """A check, and the passes that it rests on, the training data's first; they read any picture again."""

    check: DataCheck
    scans: tuple[Scan, ...]


def check_data(
    train: Source,
    tested: Sequence[Source] = (),
    max_pixels: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Checked:
    """What is in the training data, and what of the evaluation sources is in them, too.

    Where training cannot read the columns, their words are not checked. Of evaluation sources only their pictures are
    checked, and what they share with the training data.
    """
    start = time.perf_counter()
    findings = Findings()
    read = readable_columns(train.dataset, train.name)
    dataset, names = read.dataset, read.names
    if not read.is_known:
        findings.add("columns", Example("", read.refusal.removeprefix(f"{train.name}: ")), len(dataset))
    for reason in train.broken:
        findings.add("broken", Example("", reason))
    total = len(dataset) + sum(len(source.dataset) for source in tested)
    rows = RowCheck(names, findings if read.is_known else Findings())  # nobody knows what other columns mean
    found = scan(dataset, names, 0, max_pixels, rows.visit, lambda done, _: progress(done, total))
    _note_pictures(found, findings)
    _note_missing_pictures(found, train.dataset.column_names, findings)
    find_picture_duplicates(found, findings)
    words = rows if read.is_known else RowCheck(names, findings)
    if read.is_known:
        find_row_duplicates(found, rows.keys, findings)
        _note_refused(read, rows.spoilt, findings)
    lengths, answers = length_bias(words, found, findings), _answers(words, findings)
    leaks, scans, done = [], [found], len(dataset)
    for number, source in enumerate(tested, start=1):
        seen_as = readable_columns(source.dataset, source.name)
        other, names = seen_as.dataset, seen_as.names
        seen_rows = RowCheck(names, Findings())  # its keys are wanted, its words are not training's
        seen = scan(other, names, number, max_pixels, seen_rows.visit, _shifted(progress, done, total))
        _note_pictures(seen, findings)
        leaks.append(find_leaks(source.name, found, rows.keys, seen, seen_rows.keys, findings))
        scans.append(seen)
        done += len(other)
    totals = {
        ROWS: read.row_count + len(train.broken),
        PICTURES: sum(len(each.pictures) for each in scans),
        EVAL_ROWS: done - len(dataset),
    }
    check = DataCheck(
        train.name, len(train.dataset), len(dataset), tuple(train.dataset.column_names), _pictures(found),
        _listed(found.parts), _listed(words.scripts), _listed(words.languages), answers, lengths, tuple(leaks),
        findings.listed(totals), time.perf_counter() - start,
    )  # fmt: skip
    return Checked(check, tuple(scans))


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)


def _note_pictures(found: Scan, findings: Findings) -> None:
    """Note what is wrong with pictures, with every row that they spoil, or odd about them."""
    spoilt: dict[int, list[int]] = {}
    for row, shown in enumerate(found.shown):
        for index in {index for index in shown if found.pictures[index].problem}:
            spoilt.setdefault(index, []).append(row)
    for index, (picture, place) in enumerate(zip(found.pictures, found.places, strict=True)):
        also = _numbers([row for row in spoilt.get(index, ()) if row != place.row])
        kinds = [(picture.problem, f"{picture.reason}{also}")] if picture.problem else picture.traits
        for kind, detail in kinds:
            findings.add(kind, Example(found.row_name(place.row), detail, (place,)))


def _numbers(rows: list[int]) -> str:
    """Further rows of a picture, in words."""
    more = f" and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
    return f" (row {', row '.join(str(row + 1) for row in rows[:SHOWN_ROWS])}{more}, too)" if rows else ""


def _note_refused(read: ReadableRows, spoilt: Set[int], findings: Findings) -> None:
    """Note why training would refuse rows in which nothing else was found: clean means that they can be trained."""
    if read.refusal and not findings.of_errors:
        findings.add("refused", Example("", read.refusal), read.row_count)
    for index, reason in read.bad.items():
        if not (read.holds_bad and index in spoilt):
            row, _, detail = reason.partition(": ")
            findings.add("refused", Example(row, detail))


def _note_missing_pictures(found: Scan, columns: Sequence[str], findings: Findings) -> None:
    """Note rows without a picture, where others have one, and that none has."""
    if not found.pictures:
        findings.add("no_pictures", Example("", f"columns {', '.join(columns)}"), len(found.shown))
        return
    for row, shown in enumerate(found.shown):
        if not shown:
            findings.add("no_picture", Example(found.row_name(row)))


def _answers(rows: RowCheck, findings: Findings) -> AnswerSummary:
    frequent = tuple((answer, count) for answer, count in rows.answers.most_common(FREQUENT) if count > 1)
    if frequent and rows.answers_given >= MAJORITY_ANSWERS:
        answer, count = frequent[0]
        if answer and count > MAJORITY * rows.answers_given:
            share = f"{100 * count / rows.answers_given:.1f}% of answers"
            findings.add("majority", Example("", f"'{answer}' makes {share}"), count)
    return AnswerSummary(rows.answers_given, frequent)


def _pictures(found: Scan) -> PictureSummary:
    read = [picture for picture in found.pictures if picture.width]
    sides = [sorted(side) for side in zip(*((picture.width, picture.height) for picture in read), strict=True)]
    width, height = ((side[0], side[len(side) // 2], side[-1]) for side in sides) if sides else ((0, 0, 0),) * 2
    formats = _listed(Counter(picture.format for picture in read))
    shown = sum(map(len, found.shown))
    return PictureSummary(len(found.pictures), len(distinct_pictures(found)), shown, width, height, formats)


def _listed(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


def length_bias(rows: RowCheck, found: Scan, findings: Findings) -> LengthBias | None:
    """The bias of all pairs, or None where the rows hold none; noted where length alone tells most pairs apart."""
    if not rows.extra_words:
        return None
    from sightline.stats.intervals import clustered_mean  # scipy takes half a second to load

    clusters = [row_contents(found, row) or ("row", row) for row in rows.pair_rows]
    extra = clustered_mean(rows.extra_words, clusters)
    uneven = [(words > 0, cluster) for words, cluster in zip(rows.extra_words, clusters, strict=True) if words]
    longer = clustered_mean(*map(list, zip(*uneven, strict=True))) if uneven else None
    if longer and abs(longer.value - 0.5) > LARGE_SHARE - 0.5 and not longer.low <= 0.5 <= longer.high:
        is_longer = longer.value > 0.5
        share = 100 * max(longer.value, 1 - longer.value)
        detail = f"chosen is the {'longer' if is_longer else 'shorter'} one in {share:.0f}% of pairs of unlike length"
        findings.add("length_bias", Example("", detail), sum(one is is_longer for one, _ in uneven))
    return LengthBias(len(rows.extra_words), extra, longer)


READ_AS_THEY_ARE = (
    {"messages"},
    {"prompt", "completion"},
    {"prompt", "chosen", "rejected"},
    {"question", "chosen", "rejected"},
    {"question", "answer"},
)


@dataclass(frozen=True)
class ReadableRows:
    """Rows in columns that a check can read.

    Attributes:
        dataset: the rows that training makes of a source's, or the source's as they are.
        names: what they are called.
        refusal: why training takes none of the rows.
        bad: why it refuses some, by their index in the source.
        holds_bad: whether these rows, too, are in the dataset, at their index.
        is_known: whether it is known what the columns mean.
    """

    dataset: Dataset
    names: str | RowNames
    refusal: str = ""
    bad: Mapping[int, str] = field(default_factory=dict)
    holds_bad: bool = False
    is_known: bool = True

    @property
    def row_count(self) -> int:
        """Rows that were looked at, with those that training refuses."""
        return len(self.dataset) + (0 if self.holds_bad else len(self.bad))


def readable_columns(dataset: Dataset, source: str) -> ReadableRows:
    """The rows in columns that training reads; where it refuses some or all, as they are if a check knows them."""
    rows, refusal = _as_training_reads(dataset, source)
    if rows is not None and not rows.bad:
        return ReadableRows(rows.dataset, source if rows.origins is None else RowNames(source, rows.origins))
    columns = set(dataset.column_names)
    compares = any("rejected" in column for column in columns)
    bad = {} if rows is None else rows.bad
    if any(needed <= columns for needed in READ_AS_THEY_ARE) or ("conversations" in columns and not compares):
        return ReadableRows(dataset, source, refusal, bad, holds_bad=True)
    if rows is None:
        return ReadableRows(dataset, source, refusal, is_known=False)
    return ReadableRows(rows.dataset, RowNames(source, rows.origins or ()), bad=bad)


def _as_training_reads(dataset: Dataset, source: str) -> tuple[TrainingRows | None, str]:
    """The rows that can be brought into TRL's columns, or why none can."""
    from sightline.data.formats.columns import are_preferences, preference_rows, sft_rows

    ways: list[Callable[..., TrainingRows]] = [sft_rows, preference_rows]
    if are_preferences(dataset):  # of which a broken one would else be taken for a demonstration
        ways = [preference_rows]
    elif any("rejected" in column for column in dataset.column_names):
        ways.reverse()
    refusals = []
    for convert in ways:
        try:
            return convert(dataset, source, skip_bad_rows=True), ""
        except DataError as error:
            refusals.append(str(error))
    return None, refusals[0]
