"""Results of an evaluation: items, accuracies with intervals, their table, and their files in a run folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import DataError
from sightline.runs import RunFolder, plain_data
from sightline.stats.intervals import clustered_mean
from sightline.types import Interval, ItemResult, Table

RESULTS, SAMPLES = "results.json", "samples.jsonl"


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


def accuracy_of(items: Many[ItemResult]) -> Interval:
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
    """What `results.json` and `sightline eval --json` hold."""
    return {
        "model": result.label,
        "data": result.data,
        "blind": result.blind,
        **_interval_json(result.accuracy),
        "errors": result.errors,
        "duration_s": round(result.duration_s, 3),
        "kinds": {kind: _interval_json(interval) for kind, interval in result.kinds.items()},
    }


def write_results(result: EvalResult, run: RunFolder) -> None:
    """Write `results.json` and `samples.jsonl` (one item a line) into the run folder."""
    lines = [json.dumps(plain_data(item), ensure_ascii=False) for item in result.items]
    run.write_text(SAMPLES, "".join(line + "\n" for line in lines))
    run.write_json(RESULTS, to_json(result))


def read_results(folder: str | Path) -> EvalResult:
    """The result that `write_results` left in a folder; accuracies are computed again from its items.

    Raises:
        DataError: no such files, or files of another kind.
    """
    path = Path(folder)
    try:
        summary = json.loads((path / RESULTS).read_text(encoding="utf-8"))
        lines = (path / SAMPLES).read_text(encoding="utf-8").splitlines()
        items = [ItemResult(**{**item, "answers": tuple(item["answers"])}) for item in map(json.loads, lines)]
        return summarise(summary["model"], items, summary["data"], summary["blind"], summary["duration_s"])
    except FileNotFoundError as error:
        raise DataError(
            f"{path} holds no results: {Path(error.filename).name} is missing. "
            "Expected the --output_dir of `sightline eval`."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: {RESULTS} or {SAMPLES} were not written by `sightline eval`: {error!r}.") from error


def _table_row(kind: str, accuracy: Interval, others: Many[Interval | None]) -> tuple[str, ...]:
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
