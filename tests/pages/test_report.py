"""A report is one page that needs nothing else, says what the records say, and escapes what it prints."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from PIL import Image

from sightline.pages.browser import picture_address
from sightline.pages.curves import Curve, CurveChart
from sightline.pages.report import (
    Card,
    Commands,
    Folded,
    Gallery,
    Headline,
    IntervalChart,
    IntervalRow,
    Listing,
    Notice,
    Report,
    Section,
    Verdict,
    render_report,
)
from sightline.types import Interval, Table

CURVES = CurveChart(
    "Loss", "step", "loss", (Curve("a", (0, 1, 2), (3.0, 2.0, float("nan"))), Curve("b", (0, 1), (1, 2)))
)


def tags(page: str) -> list[str]:
    """Names of unclosed tags after parsing; empty for a well-formed page."""
    open_tags: list[str] = []
    void = {"meta", "img", "br", "link", "input"}

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in void:
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Parser().feed(page)
    return open_tags


def test_every_kind_of_block_is_drawn_in_one_page_that_needs_no_other_file() -> None:
    card = Card(
        Image.new("RGB", (200, 100)), "what?", "red", (Verdict("before", "blue", False), Verdict("now", "red", True))
    )
    chart = IntervalChart("", ("ours", "blind"), (IntervalRow("all", (Interval(0.5, 0.4, 0.6, 9), None)),))
    blocks = (
        Table("Numbers", ("kind", "n"), (("all", "9"),), "nine"),
        chart,
        CURVES,
        Gallery("Pictures", (card, Card(None, "blind?", "", ()))),
        Commands("Next", (("sightline ask", "ask"),)),
        IntervalChart("", ("B minus A",), (IntervalRow("all", (Interval(0.1, 0.05, 0.15, 9),)),), reach=0.2),
        Listing("Check", ("aspect", "status"), (("data", "same"),)),
        Folded("As numbers", Table("", ("kind", "n"), (("all", "9"),))),
        Notice("Mind the prompt.", "bad"),
    )
    page = render_report(
        Report("Title", "sub", (Headline("93%", "right"),), (Section("All", blocks),), (("model", "x"),))
    )
    assert tags(page) == []
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page) and "@import" not in page and "<script" not in page
    for said in (
        "93%",
        "nine",
        "left: 50.0%",
        "width: 20.0%",
        "data:image/jpeg;base64,",
        "no picture",
        "sightline ask",
        "left: 75.0%",
        "+10.0",
        "As numbers",
        "Mind the prompt.",
    ):
        assert said in page


def test_text_is_escaped() -> None:
    card = Card(None, "<script>alert(1)</script>", "a & b", (Verdict("", "<b>", None),))
    page = render_report(Report("<i>", sections=(Section("S", (Gallery("", (card,)),)),)))
    assert "<script" not in page and "&lt;script&gt;" in page and "a &amp; b" in page


def test_pictures_are_small_and_exact_where_they_were_small() -> None:
    assert picture_address(Image.new("RGBA", (64, 64))).startswith("data:image/png")
    assert len(picture_address(Image.effect_noise((3000, 2000), 50))) < 120_000
