"""What a report shows of two results on the same rows: accuracies side by side, changes, pictures before and after."""

from __future__ import annotations

from collections.abc import Sequence as Many

from sightline.evaluation.compare import Comparison, ItemPair, comparison_table
from sightline.evaluation.eval_report import interval_chart, spread
from sightline.evaluation.report import Block, Card, Gallery, Headline, Verdict
from sightline.evaluation.results import EvalResult
from sightline.types import VqaRow


def comparison_blocks(
    before: EvalResult, after: EvalResult, comparison: Comparison, *baselines: EvalResult
) -> tuple[Block, ...]:
    """A chart of accuracies per kind (after, before, baselines), and the table of paired changes."""
    return interval_chart(after, before, *baselines), comparison_table(before, after, comparison)


def change_headline(comparison: Comparison, what: str, less_is_better: bool = False) -> Headline:
    """The paired change in points, coloured only where its interval leaves out zero."""
    change = comparison.difference
    is_certain = change.low > 0 or change.high < 0
    tone = ("good" if (change.value < 0) == less_is_better else "bad") if is_certain else ""
    detail = f"95% interval {100 * change.low:+.1f} to {100 * change.high:+.1f}, {change.n} pairs"
    return Headline(f"{100 * change.value:+.1f}", what, detail, tone)


def change_galleries(comparison: Comparison, rows: Many[VqaRow], cards: int = 8) -> tuple[Gallery, ...]:
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
            tuple(_card(rows[places[pairs[index].after.id]], pairs[index], comparison) for index in chosen),
        )
        for title, pairs in parts
        if (chosen := spread(range(len(pairs)), cards))
    )


def _card(row: VqaRow, pair: ItemPair, comparison: Comparison) -> Card:
    verdicts = tuple(
        Verdict(label, item.error or item.prediction, item.score > 0)
        for label, item in ((comparison.before, pair.before), (comparison.after, pair.after))
    )
    return Card(row.image, row.question, " / ".join(row.answers), verdicts, row.kind)
