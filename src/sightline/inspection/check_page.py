"""The page of a data check: the verdict, all findings, and pictures of the worst cases."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageFile

from sightline.data.checking.check import Checked, DataCheck
from sightline.data.checking.findings import ERROR, NOTE, WARNING, Example, Finding, Place
from sightline.data.pictures.images import upright_rgb
from sightline.data.pictures.opener import opened_picture
from sightline.inspection.check_tables import (
    FINDINGS_HEADER,
    answers_table,
    finding_rows,
    leaks_table,
    overview_table,
    verdict,
)
from sightline.pages.browser import side_by_side
from sightline.pages.report import Block, Card, Gallery, Headline, Listing, Notice, Report, Section, Verdict

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
