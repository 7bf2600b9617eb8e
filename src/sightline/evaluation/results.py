"""Results of an evaluation by exact match or the like: items, accuracies with intervals, and their table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.stats.intervals import clustered_mean
from sightline.types import Interval, ItemResult, Table


@dataclass(frozen=True)
class EvalResult:
    """What one answerer made of one set of questions.

    Attributes:
        label: who answered, as tables and reports call it.
        accuracy: share of right answers, clustered by picture.
        kinds: the same per question kind, in order of first appearance; empty when the data has no kinds.
        duration_s: wall-clock time of the questions, without loading the model.
        blind: whether the questions were asked without their pictures.
    """

    label: str
    items: tuple[ItemResult, ...]
    accuracy: Interval
    kinds: dict[str, Interval]
    data: str = ""
    blind: bool = False
    duration_s: float = 0.0

    @property
    def errors(self) -> int:
        """Items that got no answer; they count as wrong."""
        return sum(bool(item.error) for item in self.items)


def summarise(
    label: str, items: Iterable[ItemResult], data: str = "", blind: bool = False, duration_s: float = 0.0
) -> EvalResult:
    """The result of `items`, with accuracies overall and per kind."""
    kept = tuple(items)
    kinds = dict.fromkeys(item.kind for item in kept if item.kind)
    per_kind = {kind: accuracy_of([item for item in kept if item.kind == kind]) for kind in kinds}
    return EvalResult(label, kept, accuracy_of(kept), per_kind, data, blind, duration_s)


def accuracy_of(items: Sequence[ItemResult]) -> Interval:
    """Mean score, clustered by picture; an item without one is its own cluster."""
    return clustered_mean([item.score for item in items], [item.image_key or f"item {item.id}" for item in items])


def results_table(result: EvalResult, *others: EvalResult) -> Table:
    """Accuracy per kind and overall: with its interval for `result`, plain beside it for the others (baselines)."""
    header = ("kind", "questions", "accuracy", "95% interval", *(other.label for other in others))
    rows = [_table_row(kind, result.kinds[kind], [other.kinds.get(kind) for other in others]) for kind in result.kinds]
    rows.append(_table_row("all", result.accuracy, [other.accuracy for other in others]))
    pictures = f"{result.accuracy.clusters} pictures" if result.accuracy.clusters < result.accuracy.n else ""
    errors = f"{result.errors} without an answer, counted as wrong" if result.errors else ""
    caption = ", ".join(part for part in (f"{result.accuracy.n} questions", pictures, errors) if part)
    return Table(result.label, header, tuple(rows), caption)


def percent(value: float) -> str:
    """A share as text with one digit: `93.8%`."""
    return f"{100 * value:.1f}%"


def to_json(result: EvalResult) -> dict[str, Any]:
    """The accuracies as JSON."""
    return {
        "model": result.label,
        "data": result.data,
        "blind": result.blind,
        **_interval_json(result.accuracy),
        "errors": result.errors,
        "duration_s": round(result.duration_s, 3),
        "kinds": {kind: _interval_json(interval) for kind, interval in result.kinds.items()},
    }


def _table_row(kind: str, accuracy: Interval, others: Sequence[Interval | None]) -> tuple[str, ...]:
    bounds = f"{percent(accuracy.low)} to {percent(accuracy.high)}"
    beside = (percent(other.value) if other is not None else "" for other in others)
    return (kind, str(accuracy.n), percent(accuracy.value), bounds, *beside)


def _interval_json(interval: Interval) -> dict[str, Any]:
    return {
        "accuracy": interval.value,
        "accuracy_interval": [interval.low, interval.high],
        "n": interval.n,
        "clusters": interval.clusters,
    }
