"""Tables of a comparison: changes per task and category, what they rest on, the check, some flips."""

from __future__ import annotations

import math

from sightline.evaluation.comparison.changes import Change, TaskChange
from sightline.evaluation.comparison.reproduction import Aspect, Reproduction
from sightline.evaluation.comparison.run import RunComparison
from sightline.evaluation.outcome import shown
from sightline.evaluation.samples import Sample
from sightline.types import Table

CHECK_HEADER = ("aspect", "status", "what differs")
FLIPS_SHOWN = 3
_LONGEST_CELL = 26


def change_table(comparison: RunComparison) -> Table:
    """A line per task: the headline metric in A and B on the common items, the change, and its p-value."""
    changes = comparison.tasks.values()
    several = len(comparison.tasks) > 1
    header = ("task", "items", "A", "B", "change", "95% interval", "p (Holm)" if several else "p")
    rows = [
        (f"{change.task} {change.metric}", *_cells(change.overall, change.scale), p_text(change.p_holm))
        for change in changes
    ]
    left_out = [f"{name} is in one run only." for name in comparison.left_out]
    left_out += [text for change in changes if (text := left_out_text(change))]
    caption = "\n".join([*(f"{name}: {label}" for name, label in zip("AB", comparison.labels, strict=True)), *left_out])
    return Table("B against A, paired by item", header, tuple(rows), caption, is_summed=False)


def evidence_table(comparison: RunComparison) -> Table:
    """A line per task: items that flipped, McNemar's exact test, and how many items would show a difference."""
    detect = next(iter(comparison.tasks.values())).detect
    header = ("task", "improved", "worsened", "McNemar p", f"items to see {points_text(detect)}")
    rows = [
        (
            change.task,
            f"{change.overall.improved:,}",
            f"{change.overall.worsened:,}",
            p_text(change.mcnemar) if change.mcnemar is not None else "",
            f"{change.items_needed:,}" if change.items_needed is not None else "",
        )
        for change in comparison.tasks.values()
    ]
    caption = (
        ""
        if all(change.mcnemar is not None for change in comparison.tasks.values())
        else ("McNemar's test needs scores of 0 or 1.")
    )
    return Table("Items that flipped", header, tuple(rows), caption, is_summed=False)


def category_changes(change: TaskChange, with_all: bool = False) -> Table:
    """The change per category, and `with_all` that of all items in a last row."""
    rows = [(name, *_cells(each, change.category_scale)) for name, each in change.categories.items()]
    if with_all:
        rows.append(("all", *_cells(change.overall, change.scale)))
    header = ("category", "items", "A", "B", "change", "95% interval")
    return Table(change.title, header, tuple(rows), "Not corrected for the number of categories.", with_all)


def check_rows(check: Reproduction) -> tuple[tuple[str, str, str], ...]:
    """(aspect, status, what differs) of each aspect."""
    return tuple(
        (aspect.name, aspect.status, "; ".join([*aspect.differences, *_unknown(aspect), *aspect.notes]))
        for aspect in check.aspects
    )


def check_table(check: Reproduction) -> Table:
    """A line for each aspect of the reproduction check."""
    return Table("Reproduction check", CHECK_HEADER, check_rows(check), is_summed=False)


def flip_table(change: TaskChange) -> Table:
    """The first few items that improved and that worsened."""
    groups = (("better", change.samples.improved), ("worse", change.samples.worsened))
    rows = [
        (sign, *map(_clip, (pair.after.id, " / ".join(pair.after.answers), *map(_said, (pair.before, pair.after)))))
        for sign, pairs in groups
        for pair in pairs[:FLIPS_SHOWN]
    ]
    return Table(f"{change.title}: some that flipped", ("", "id", "gold", "A", "B"), tuple(rows), is_summed=False)


def left_out_text(change: TaskChange) -> str:
    """How many items of a task were not compared, and why; empty where all were."""
    samples = change.samples
    parts = (
        (samples.only_before, "in A alone"),
        (samples.only_after, "in B alone"),
        (samples.asked_otherwise, "asked otherwise in B"),
    )
    counted = ", ".join(f"{count:,} {reason}" for count, reason in parts if count)
    return f"{change.task}: left out {counted}." if counted else ""


def change_text(value: float, scale: float) -> str:
    """A difference with its sign: of shares in points of percent."""
    if not math.isfinite(value):
        return "not known"
    return f"{100 * value:+.1f}" if scale == 1 else f"{value:+.1f}" if scale >= 100 else f"{value:+.3f}"


def interval_text(change: Change, scale: float) -> str:
    """Both ends of the difference's interval; empty where one cluster says nothing of others."""
    low, high = change.difference.low, change.difference.high
    return f"{change_text(low, scale)} to {change_text(high, scale)}" if math.isfinite(low) else ""


def points_text(share: float) -> str:
    """A share of full marks in points of 100."""
    return "1 point" if share == 0.01 else f"{100 * share:g} points"


def p_text(p_value: float) -> str:
    """A p-value with two digits that say something."""
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}" if p_value < 0.995 else "1"


def p_sign(p_value: float) -> str:
    """A p-value in a sentence: p = 0.03, p < 0.0001."""
    text = p_text(p_value)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def _cells(change: Change, scale: float) -> tuple[str, ...]:
    values = (shown(change.before, scale), shown(change.after, scale))
    return (
        f"{change.difference.n:,}",
        *values,
        change_text(change.difference.value, scale),
        interval_text(change, scale),
    )


def _unknown(aspect: Aspect) -> list[str]:
    return [f"not known: {text}" if aspect.differences else text for text in aspect.unknown]


def _said(sample: Sample) -> str:
    return sample.error or sample.prediction


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_CELL else line[: _LONGEST_CELL - 1] + "…"
