"""A report is one page that needs nothing else, says what the records say, and escapes what it prints."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from sightline.evaluation.compare import compare
from sightline.evaluation.results import EvalResult, summarise
from sightline.evaluation.vqa import score_answer
from sightline.evaluation.vqa_report import change_galleries, change_headline, galleries, interval_chart
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
from sightline.types import Answer, Interval, Table, VqaRow
from tests.evaluation.answerers import vqa_row

CURVES = CurveChart(
    "Loss", "step", "loss", (Curve("a", (0, 1, 2), (3.0, 2.0, float("nan"))), Curve("b", (0, 1), (1, 2)))
)


@pytest.fixture
def rows() -> list[VqaRow]:
    picture = Image.new("RGB", (32, 32), "red")
    return [replace(vqa_row(index, "yes", ("colour", "count")[index % 2], index), image=picture) for index in range(8)]


def result(label: str, rows: list[VqaRow], right: str) -> EvalResult:
    answers = [Answer("yes" if bit == "1" else "no") for bit in right]
    items = [score_answer(row, answer) for row, answer in zip(rows, answers, strict=True)]
    return summarise(label, items, data="test.jsonl", duration_s=2.0)


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


def test_galleries_show_right_and_wrong_and_changes_before_and_after(rows: list[VqaRow]) -> None:
    before, after = result("sft", rows, "00000111"), result("dpo", rows, "11111011")
    assert [gallery.title for gallery in galleries(after, rows)] == ["Wrong (1)", "Right (7)"]
    changes = change_galleries(compare(before, after), rows)
    assert [gallery.title for gallery in changes] == ["Improved (5)", "Worsened (1)", "Right both times (2)"]
    assert [verdict.text for verdict in changes[1].cards[0].verdicts] == ["yes", "no"]
    chart = interval_chart(after, before)
    assert chart.series == ("dpo", "sft") and [row.label for row in chart.rows] == ["colour", "count", "all"]


def test_a_change_is_coloured_only_where_it_is_certain(rows: list[VqaRow]) -> None:
    all_better = compare(result("a", rows, "00000000"), result("b", rows, "11111111"))
    assert change_headline(all_better, "accuracy").tone == "good"
    assert change_headline(all_better, "invented", less_is_better=True).tone == "bad"
    assert change_headline(compare(result("a", rows, "01010101"), result("b", rows, "11010100")), "accuracy").tone == ""
