"""What a report shows of exact-match results on the same rows: accuracies side by side, changes, pictures."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.evaluation.compare import Comparison, ItemPair
from sightline.evaluation.results import EvalResult
from sightline.pages.browser import spread
from sightline.pages.report import Card, Gallery, Headline, IntervalChart, IntervalRow, Verdict
from sightline.types import ItemResult, VqaRow

CARDS_PER_GALLERY = 12


def interval_chart(*results: EvalResult) -> IntervalChart:
    """Accuracies per kind of the first result, and overall, one series per result."""
    rows = [IntervalRow(kind, tuple(result.kinds.get(kind) for result in results)) for kind in results[0].kinds]
    rows.append(IntervalRow("all", tuple(result.accuracy for result in results)))
    labels = tuple(result.label for result in results)
    return IntervalChart("", labels, tuple(rows), "Dots are accuracies, bars 95% intervals.")


def change_headline(comparison: Comparison, what: str, less_is_better: bool = False) -> Headline:
    """The paired change in points, coloured only where its interval leaves out zero."""
    change = comparison.difference
    is_certain = change.low > 0 or change.high < 0
    tone = ("good" if (change.value < 0) == less_is_better else "bad") if is_certain else ""
    detail = f"95% interval {100 * change.low:+.1f} to {100 * change.high:+.1f}, {change.n} pairs"
    return Headline(f"{100 * change.value:+.1f}", what, detail, tone)


def galleries(result: EvalResult, rows: Sequence[VqaRow], cards: int = CARDS_PER_GALLERY) -> tuple[Gallery, ...]:
    """Some right and some wrong items, each with its picture."""
    parts = (
        ("Wrong", [item.score == 0 for item in result.items]),
        ("Right", [item.score > 0 for item in result.items]),
    )
    return tuple(
        Gallery(f"{title} ({sum(chosen)})", tuple(_card(rows[place], result.items[place]) for place in places))
        for title, chosen in parts
        if (places := spread([place for place, is_chosen in enumerate(chosen) if is_chosen], cards))
    )


def change_galleries(comparison: Comparison, rows: Sequence[VqaRow], cards: int = 8) -> tuple[Gallery, ...]:
    """Items that improved, that worsened, and that stayed right or wrong, each with both answers."""
    places = {row.id or row.name: place for place, row in enumerate(rows)}
    same = [pair for pair in comparison.pairs if pair.before.score == pair.after.score]
    parts = (
        ("Improved", comparison.improved),
        ("Worsened", comparison.worsened),
        ("Right both times", [pair for pair in same if pair.after.score > 0]),
        ("Wrong both times", [pair for pair in same if pair.after.score == 0]),
    )
    return tuple(
        Gallery(
            f"{title} ({len(pairs)})",
            tuple(_changed_card(rows[places[pairs[index].after.id]], pairs[index], comparison) for index in chosen),
        )
        for title, pairs in parts
        if (chosen := spread(range(len(pairs)), cards))
    )


def _card(row: VqaRow, item: ItemResult) -> Card:
    verdict = Verdict("", item.error or item.prediction, item.score > 0)
    return Card(row.image, row.question, " / ".join(row.answers), (verdict,), row.kind)


def _changed_card(row: VqaRow, pair: ItemPair, comparison: Comparison) -> Card:
    verdicts = tuple(
        Verdict(label, item.error or item.prediction, item.score > 0)
        for label, item in ((comparison.before, pair.before), (comparison.after, pair.after))
    )
    return Card(row.image, row.question, " / ".join(row.answers), verdicts, row.kind)
