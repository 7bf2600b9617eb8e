"""What a report shows of one evaluation: accuracy, kinds beside the majority answer, pictures right and wrong."""

from __future__ import annotations

from collections.abc import Sequence as Many

from sightline.evaluation.baselines import majority_baseline
from sightline.evaluation.report import (
    Block,
    Card,
    Gallery,
    Headline,
    IntervalChart,
    IntervalRow,
    Report,
    Section,
    Verdict,
)
from sightline.evaluation.results import EvalResult, percent, results_table
from sightline.types import ItemResult, VqaRow

CARDS_PER_GALLERY = 12


def eval_report(result: EvalResult, rows: Many[VqaRow]) -> Report:
    """The report of `result` on `rows`, which are in the same order as its items."""
    majority = majority_baseline([_closed_row(item) for item in result.items])
    asked = "asked without the pictures" if result.blind else f"about {result.accuracy.clusters} pictures"
    return Report(
        title=f"{percent(result.accuracy.value)} right",
        subtitle=f"{result.label} on {result.data}: {result.accuracy.n} questions, {asked}.",
        headlines=headlines(result, majority),
        sections=(
            Section("Accuracy", accuracy_blocks(result, majority), "Exact match after normalising both answers."),
            Section("Pictures", galleries(result, rows), "Spread evenly over the data; none was chosen by hand."),
        ),
        facts=(
            ("model", result.label),
            ("data", result.data),
            ("questions", str(result.accuracy.n)),
            ("time", f"{result.duration_s:.1f} s"),
        ),
    )


def headlines(result: EvalResult, majority: EvalResult) -> tuple[Headline, ...]:
    """Accuracy, its distance from the majority baseline, and speed."""
    accuracy, gap = result.accuracy, 100 * (result.accuracy.value - majority.accuracy.value)
    seconds = max(result.duration_s, 1e-9)
    found = [
        Headline(
            percent(accuracy.value), "accuracy", f"95% interval {percent(accuracy.low)} to {percent(accuracy.high)}"
        ),
        Headline(
            f"{gap:+.1f}",
            "points from the majority answer",
            f"always the most frequent answer: {percent(majority.accuracy.value)}",
            "good" if gap > 0 else "bad",
        ),
        Headline(f"{accuracy.n / seconds:.0f}", "questions per second", f"{accuracy.n} in {seconds:.1f} s"),
    ]
    if result.errors:
        found.append(Headline(str(result.errors), "without an answer", "counted as wrong", "bad"))
    return tuple(found)


def accuracy_blocks(result: EvalResult, *baselines: EvalResult) -> tuple[Block, ...]:
    """A chart and a table of accuracy per kind and overall, beside the baselines."""
    return interval_chart(result, *baselines), results_table(result, *baselines)


def interval_chart(*results: EvalResult) -> IntervalChart:
    """Accuracies per kind of the first result, and overall, one series per result."""
    rows = [IntervalRow(kind, tuple(result.kinds.get(kind) for result in results)) for kind in results[0].kinds]
    rows.append(IntervalRow("all", tuple(result.accuracy for result in results)))
    labels = tuple(result.label for result in results)
    return IntervalChart("", labels, tuple(rows), "Dots are accuracies, bars 95% intervals.")


def galleries(result: EvalResult, rows: Many[VqaRow], cards: int = CARDS_PER_GALLERY) -> tuple[Gallery, ...]:
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


def spread(places: Many[int], count: int) -> list[int]:
    """`count` of the places at even distances, or all if there are no more."""
    step = max(len(places) / count, 1.0)
    return [places[int(index * step)] for index in range(min(count, len(places)))]


def _card(row: VqaRow, item: ItemResult) -> Card:
    verdict = Verdict("", item.error or item.prediction, item.score > 0)
    return Card(row.image, row.question, " / ".join(row.answers), (verdict,), row.kind)


def _closed_row(item: ItemResult) -> VqaRow:
    """The item's row without its picture, which the majority answer does not look at."""
    return VqaRow(item.name, item.question, item.answers, None, item.image_key, item.kind, (), item.id)
