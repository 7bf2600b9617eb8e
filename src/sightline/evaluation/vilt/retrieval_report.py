"""The page of a retrieval: recalls with intervals beside chance, and what some texts found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.data.pictures.images import open_image
from sightline.data.vilt.captions import CaptionedPicture
from sightline.evaluation.vilt.retrieval import (
    DEPTHS,
    TO_PICTURES,
    TO_TEXTS,
    RetrievalResult,
    ShownText,
    retrieval_table,
)
from sightline.pages.report import Card, Gallery, Headline, IntervalChart, IntervalRow, Report, Section, Verdict
from sightline.tables import percent

_FOUND = "Each text with the pictures that it ranks first; the right one is marked."


def retrieval_report(result: RetrievalResult, rows: Sequence[CaptionedPicture]) -> Report:
    """The report of a retrieval over `rows`."""
    return Report(
        title=result.label,
        subtitle=f"Retrieval among {result.pictures:,} pictures and {result.texts:,} texts.",
        headlines=tuple(
            _headline(result, direction, depth) for direction in (TO_PICTURES, TO_TEXTS) for depth in (1, 10)
        ),
        sections=(
            Section("Recall", (_chart(result), retrieval_table(result))),
            Section("What some texts found", tuple(_gallery(shown, rows) for shown in result.shown), _FOUND),
        ),
        facts=(("model", result.label), ("time", f"{result.duration_s:.1f} s")),
    )


def _headline(result: RetrievalResult, direction: str, depth: int) -> Headline:
    interval, chance = result.recalls[direction, depth], result.chance[direction, depth]
    detail = f"95% interval {percent(interval.low)} to {percent(interval.high)}; chance {percent(chance)}"
    return Headline(percent(interval.value), f"{direction}, first {depth}", detail)


def _chart(result: RetrievalResult) -> IntervalChart:
    series = ("found", "found by scoring all") if result.exact else ("found",)
    rows = tuple(
        IntervalRow(
            f"{direction} @{depth}",
            tuple(recalls[direction, depth] for recalls in (result.recalls, result.exact) if recalls),
        )
        for direction in (TO_PICTURES, TO_TEXTS)
        for depth in DEPTHS
    )
    return IntervalChart("", series, rows, "Share of queries with a right one among the first 1, 5 and 10.")


def _gallery(shown: ShownText, rows: Sequence[CaptionedPicture]) -> Gallery:
    ranked = [index for index, _ in shown.found]
    place = f"The right picture is number {ranked.index(shown.own) + 1}." if shown.own in ranked else ""
    cards = tuple(_card(rows[index], score, index == shown.own) for index, score in shown.found)
    return Gallery(shown.text, cards, place or f"The right picture is none of the first {len(ranked)}.")


def _card(row: CaptionedPicture, score: float, is_own: bool) -> Card:
    name = Path(row.picture).name if isinstance(row.picture, str) else row.key
    verdict = Verdict("score", f"{score:.3f}", True if is_own else None)
    return Card(open_image(row.picture, row.name), row.captions[0], "", (verdict,), kind=name)
