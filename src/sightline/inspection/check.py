"""Run `sightline data check`: read the sources, check them, and write the record, its tables and its page."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageFile

from sightline.data.checking.check import Checked, DataCheck, Source, check_data
from sightline.data.checking.findings import ERROR, NOTE, WARNING, Example, Finding, Place
from sightline.data.pictures.columns import PictureAccess
from sightline.data.pictures.images import upright_rgb
from sightline.data.pictures.opener import LIMIT_VARIABLE, opened_picture, pixel_limit
from sightline.data.sources.bad_rows import SHOWN_ROWS
from sightline.data.sources.column_names import OWN_NAMES, ColumnNames
from sightline.data.sources.datasets import read_dataset
from sightline.errors import ConfigError
from sightline.pages.browser import side_by_side
from sightline.pages.report import Block, Card, Gallery, Headline, Listing, Notice, Report, Section, Verdict
from sightline.runs import LOCK, RunFolder, plain_data, write_text
from sightline.types import Interval, Table

RECORD, PAGE = "check.json", "report.html"


@dataclass(frozen=True)
class CheckConfig:
    """What to check.

    Attributes:
        source: what `read_dataset` takes.
        evals: evaluation data that must not be in it.
        split: of the source; `eval_split` is that of the evaluation data.
        pictures: where they may come from.
        limit: only the first so many rows of each.
        max_pixels: pictures over it are refused by their head, not decoded; by default the limit of every command.
        eval_columns: names of columns of the evaluation data; those of the source are in `pictures`.
    """

    source: str
    evals: tuple[str, ...] = ()
    split: str | None = None
    eval_split: str | None = None
    config: str | None = None
    pictures: PictureAccess = PictureAccess(keep_missing=True)
    limit: int | None = None
    max_pixels: int | None = None
    output_dir: Path | None = None
    eval_columns: ColumnNames = OWN_NAMES


def run_check(config: CheckConfig, progress: Callable[[int, int], None]) -> DataCheck:
    """Check the data; with `output_dir`, write check.json and report.html there.

    Raises:
        ConfigError: a limit out of range.
        DataError: a source that cannot be read at all.
        RunFolderError: another command is at work in `output_dir`.
    """
    if config.max_pixels is not None and not 1 <= config.max_pixels <= pixel_limit():
        raise ConfigError(
            f"max_pixels: expected 1 to {pixel_limit():,}, the limit of every command, which {LIMIT_VARIABLE} sets; "
            f"got {config.max_pixels:,}."
        )
    if config.limit is not None and config.limit < 1:
        raise ConfigError(f"limit: expected at least 1 row, got {config.limit}.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what it warns of is among the findings
        return _checked(config, progress)


def _checked(config: CheckConfig, progress: Callable[[int, int], None]) -> DataCheck:
    train = _read(config.source, config.split, config, config.pictures)
    tested_as = replace(config.pictures, columns=config.eval_columns)
    tested = [_read(name, config.eval_split, config, tested_as) for name in config.evals]
    if config.output_dir is None:
        return check_data(train, tested, config.max_pixels, progress).check
    config.output_dir.mkdir(parents=True, exist_ok=True)
    with RunFolder(config.output_dir).at_work():
        checked = check_data(train, tested, config.max_pixels, progress)
        _write(checked, config.output_dir)
        (config.output_dir / LOCK).unlink(missing_ok=True)
    return checked.check


def check_json(check: DataCheck) -> dict[str, Any]:
    """A check as plain data, with its verdict and the share of each finding."""
    record = plain_data(check)
    for finding, plain in zip(check.findings, record["findings"], strict=True):
        plain["share"] = finding.share
    return {"clean": check.is_clean, **record}


def _read(name: str, split: str | None, config: CheckConfig, pictures: PictureAccess) -> Source:
    noted: list[str] = []
    access = replace(pictures, skip_bad_rows=True, noted=noted)
    dataset = read_dataset(name, split, config.config, access)
    if config.limit is not None:
        dataset = dataset.select(range(min(config.limit, len(dataset))))
    return Source(name, dataset, tuple(noted))


def _write(checked: Checked, folder: Path) -> None:
    from sightline.pages.report import render_report

    write_text(folder / RECORD, json.dumps(check_json(checked.check), indent=2, ensure_ascii=False) + "\n")
    write_text(folder / PAGE, render_report(check_page(checked)))


SHOWN_SIDE = 300
NEVER_OPENED = ("missing", "denied", "unreadable", "too_large", "remote")


def check_page(checked: Checked) -> Report:
    """All that the check found, with its worst cases to look at."""
    check = checked.check
    sections = [Section("Findings", _findings(check))]
    galleries = tuple(_galleries(checked))
    if galleries:
        sections.append(Section("Cases", galleries, "The first cases of each kind, as training would see them."))
    if check.leaks:
        sections.append(Section("Leaks", (leaks_table(check),)))
    content: tuple[Block, ...] = (_overview(check),)
    if check.answers.frequent:
        content += (answers_table(check),)
    sections.append(Section("What is in it", content))
    return Report(
        title=check.source,
        subtitle=f"{verdict(check)} {check.rows:,} rows, {check.pictures.stored:,} pictures.",
        headlines=_headlines(check),
        sections=tuple(sections),
        facts=(("data", check.source), ("time", f"{check.seconds:.1f} s")),
    )


def _headlines(check: DataCheck) -> tuple[Headline, ...]:
    pictures = check.pictures
    headlines = [Headline(f"{check.rows:,}", "rows")]
    if pictures.stored:
        headlines.append(Headline(f"{pictures.distinct:,}", "distinct pictures", f"shown {pictures.shown:,} times"))
    for severity, tone in ((ERROR, "bad"), (WARNING, "")):
        kinds = [finding for finding in check.findings if finding.severity == severity]
        detail = "; ".join(finding.title for finding in kinds[:2]) or "none found"
        is_good = severity == ERROR and not kinds
        label = f"kind{'s' * (len(kinds) != 1)} of {severity}"
        headlines.append(Headline(str(len(kinds)), label, detail, "good" if is_good else tone if kinds else ""))
    return tuple(headlines)


def _findings(check: DataCheck) -> tuple[Block, ...]:
    rows = finding_rows(check)
    return (Listing("", FINDINGS_HEADER, rows),) if rows else (Notice("Nothing was found.", "good"),)


def _overview(check: DataCheck) -> Listing:
    table = overview_table(check)
    return Listing("", ("", ""), table.rows)


def _galleries(checked: Checked) -> Iterator[Gallery]:
    for finding in checked.check.findings:
        if finding.kind in NEVER_OPENED:
            continue
        cards = tuple(_card(checked, finding, case) for case in finding.examples if case.places)
        if cards:
            yield Gallery(f"{finding.severity.capitalize()}: {finding.title}", cards)


def _card(checked: Checked, finding: Finding, case: Example) -> Card:
    pictures = [_picture(checked, finding.kind, place) for place in case.places]
    shown = [picture for picture in pictures if picture is not None]
    image = side_by_side(shown) if shown else None
    right = {ERROR: False, WARNING: None, NOTE: None}[finding.severity]
    return Card(image, case.row, "", (Verdict("", case.detail, right),) if case.detail else ())


def _picture(checked: Checked, kind: str, place: Place) -> Image.Image | None:
    """A small copy of a picture; of one that is cut off, what is left of it."""
    stored = checked.scans[place.source].stored_at(place)
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = kind == "truncated"
    try:
        with opened_picture(stored) as image:
            image.draft("RGB", (SHOWN_SIDE, SHOWN_SIDE))
            rgb = upright_rgb(image)
    except Exception:  # the case is named on the page, whatever Pillow says of it now
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    rgb.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return rgb


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
            ("pictures", f"{pictures.stored:,} stored, {pictures.distinct:,} distinct, shown {pictures.shown:,} times")
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
