"""Tables of a data check, for the terminal and for its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sightline.data.checking.check import DataCheck
from sightline.data.checking.findings import ERROR, NOTE, WARNING, Finding
from sightline.data.sources.bad_rows import SHOWN_ROWS
from sightline.types import Interval, Table

FINDINGS_HEADER = ("severity", "what was found, and what to do", "first cases")
SHOWN_CASES = 3  # of what need not stop training; of errors SHOWN_ROWS
SHOWN_LANGUAGES = 5


def verdict(check: DataCheck) -> str:
    """What the check comes to, in a sentence."""
    counts = {severity: sum(f.severity == severity for f in check.findings) for severity in (ERROR, WARNING, NOTE)}
    listed = ", ".join(f"{count} kind{'s' * (count != 1)} of {name}" for name, count in counts.items() if count)
    if check.is_clean:
        return f"Clean: no errors{f'; {listed}' if listed else ''}."
    return f"Not clean: {listed}."


def finding_rows(check: DataCheck) -> tuple[tuple[str, ...], ...]:
    """A line for each finding, the worst first."""
    return tuple(
        (finding.severity, f"{finding.title}: {count_text(finding)}\n{finding.advice}", first_cases(finding))
        for finding in check.findings
    )


def count_text(finding: Finding) -> str:
    """How many cases there are of how many rows or pictures, and their share."""
    return f"{finding.count:,} of {finding.of:,} {finding.unit} ({share_text(finding)})"


def share_text(finding: Finding) -> str:
    """The share of a finding in percent; a share above 0 never reads as none, nor one below 1 as all."""
    percent = 100 * finding.share
    if 0 < percent < 0.1:
        return "<0.1%"
    return f"{min(percent, 99.9) if finding.count < finding.of else percent:.1f}%"


def first_cases(finding: Finding) -> str:
    """The first cases by row, a line each."""
    shown = SHOWN_ROWS if finding.severity == ERROR else SHOWN_CASES
    lines = [": ".join(filter(None, (case.row, case.detail))) for case in finding.examples[:shown]]
    more = finding.count - len(lines)
    return "\n".join([*lines, *([f"and {more:,} more"] if more > 0 and len(finding.examples) > 1 else [])])


def overview_table(check: DataCheck) -> Table:
    """Rows, pictures, sides, formats, scripts and languages."""
    pictures = check.pictures
    as_trained = f", {check.trained_rows:,} as trained" if check.trained_rows != check.rows else ""
    rows = [("rows", f"{check.rows:,}{as_trained}"), ("columns", ", ".join(check.columns))]
    if pictures.stored:
        rows += [
            ("pictures", f"{pictures.stored:,} stored, {pictures.distinct:,} distinct, shown {pictures.shown:,} times"),
        ]
    if pictures.formats:
        rows += [
            ("width", _side(pictures.width)),
            ("height", _side(pictures.height)),
            ("formats", _counts(pictures.formats)),
        ]
    if check.scripts:
        rows.append(("scripts", _counts(check.scripts)))
        rows.append(("languages", _frequent(check.languages)))
    if check.parts:
        rows.append(("source", _counts(check.parts)))
    if check.lengths is not None:
        rows.append(("chosen over rejected", _lengths(check)))
    return Table("What is in it", ("", ""), tuple(rows), "", is_summed=False)


def answers_table(check: DataCheck) -> Table:
    """The most frequent short answers, with their shares of all answers."""
    rows = tuple(
        (answer or "(empty)", f"{count:,}", f"{100 * count / check.answers.given:.1f}%")
        for answer, count in check.answers.frequent
    )
    return Table(
        "Most frequent answers", ("answer", "times", "share"), rows,
        f"Of {check.answers.given:,} answers, in lower case; those over 60 letters are not listed.", is_summed=False,
    )  # fmt: skip


def leaks_table(check: DataCheck) -> Table:
    """What each evaluation source shares with the training data."""
    short = [Path(leak.source).name for leak in check.leaks]
    names = short if len(set(short)) == len(short) else [leak.source for leak in check.leaks]
    rows = tuple(
        (name, f"{leak.rows:,}", f"{leak.pictures:,}", f"{leak.same_pictures:,}", f"{leak.copied_pictures:,}",
         f"{leak.leaked_rows:,}", f"{leak.leaked_questions:,}")
        for name, leak in zip(names, check.leaks, strict=True)
    )  # fmt: skip
    header = ("evaluation data", "rows", "pictures", "same", "copies", "leaked rows", "same question")
    caption = (
        "same: pixel for pixel in the training data. copies: resized or compressed again. "
        "same question: leaked rows whose question about that picture is in the training data, too."
    )
    return Table("Leaks", header, rows, caption, is_summed=False)


def _lengths(check: DataCheck) -> str:
    assert check.lengths is not None
    words = f"{_signed(check.lengths.extra_words)} words"
    longer = check.lengths.longer_share
    if longer is None:
        return f"{words}; all pairs alike in length"
    return f"{words}; the longer one in {100 * longer.value:.1f}% ({100 * longer.low:.1f} to {100 * longer.high:.1f})"


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.1f} ({interval.low:+.1f} to {interval.high:+.1f})"


def _side(side: tuple[int, int, int]) -> str:
    low, middle, high = side
    return f"{low:,} pixels" if low == high else f"{low:,} to {high:,} pixels, median {middle:,}"


def _frequent(counts: Mapping[str, int]) -> str:
    """The most frequent, and how many others together: guesses scatter."""
    first = dict(list(counts.items())[:SHOWN_LANGUAGES])
    others = sum(counts.values()) - sum(first.values())
    return _counts(first) + (f", others {others:,}" if others else "")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
