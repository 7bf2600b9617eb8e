"""What a run of tasks found: scores and samples per task, what they depend on, their files and their table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import DataError
from sightline.evaluation.results import EvalResult, percent, summarise
from sightline.evaluation.samples import SAMPLES, Sample, read_samples, result_of, samples_text
from sightline.evaluation.scores import MetricScore, TaskScores
from sightline.runs import RunFolder
from sightline.types import Interval, Table

RESULTS = "results.json"


@dataclass(frozen=True)
class TaskOutcome:
    """One task of a run.

    Attributes:
        data: source, revision and fingerprint of the items, and what was left out.
        blind: the scores without pictures, where that was asked.
    """

    title: str
    prompt: str
    max_new_tokens: int
    data: Mapping[str, Any]
    scores: TaskScores
    samples: tuple[Sample, ...]
    blind: TaskScores | None = None


@dataclass(frozen=True)
class RunResult:
    """A run: who answered, how it was asked, and what each task came to.

    Attributes:
        settings: method, and what of it changes an answer.
        provenance: fingerprints of model and processor, its settings, decoding, versions of packages.
    """

    model: str
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    tasks: Mapping[str, TaskOutcome]
    duration_s: float = 0.0


def to_json(result: RunResult) -> dict[str, Any]:
    """What `results.json` and `sightline eval --json` hold."""
    return {
        "model": result.model,
        "settings": result.settings,
        "tasks": {name: _task_json(outcome) for name, outcome in result.tasks.items()},
        "provenance": result.provenance,
        "duration_s": round(result.duration_s, 3),
    }


def write_outcome(result: RunResult, run: RunFolder) -> None:
    """Write `samples.jsonl`, then `results.json`."""
    samples = [sample for outcome in result.tasks.values() for sample in outcome.samples]
    run.write_text(SAMPLES, samples_text(samples))
    run.write_json(RESULTS, to_json(result))


def read_summary(run: Path) -> dict[str, Any]:
    """The content of a run's `results.json`.

    Raises:
        DataError: there is none.
    """
    path = run / RESULTS
    if not path.is_file():
        raise DataError(f"{run} holds no results: {RESULTS} is missing. Expected the --output_dir of `sightline eval`.")
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary


def eval_result(result: RunResult, task: str) -> EvalResult:
    """A task of the run as comparisons and reports know it: items with scores, per category."""
    outcome = result.tasks[task]
    items = (result_of(sample) for sample in outcome.samples)
    return summarise(result.model, items, data=str(outcome.data.get("place", task)), duration_s=result.duration_s)


def read_results(folder: str | Path, task: str | None = None) -> EvalResult:
    """A task of the run in a folder, the first by default, as comparisons and reports know it.

    Raises:
        DataError: no such files or task, or files of another kind.
    """
    summary = read_summary(Path(folder))
    samples = read_samples(Path(folder))
    wanted = task or next(iter(summary["tasks"]))
    if wanted not in summary["tasks"]:
        raise DataError(f"{folder} has no task '{wanted}'; it has {', '.join(summary['tasks'])}.")
    items = (result_of(sample) for sample in samples if sample.task == wanted)
    place = str(summary["tasks"][wanted]["data"].get("place", wanted))
    return summarise(summary["model"], items, data=place, duration_s=summary["duration_s"])


def outcome_table(result: RunResult) -> Table:
    """A line per metric of each task: value with interval, unparsed share, upper bound, value without pictures."""
    has_blind = any(outcome.blind for outcome in result.tasks.values())
    header = ("task", "metric", "items", "score", "95% interval", "unparsed", "if right", *(["blind"] * has_blind))
    rows = [
        _table_row(outcome, index, has_blind)
        for outcome in result.tasks.values()
        for index in range(len(outcome.scores.metrics))
    ]
    return Table(result.model, header, tuple(rows), _caption(result), is_summed=False)


def category_table(outcome: TaskOutcome) -> Table:
    """The headline metric per category."""
    rows = [
        (name, str(score.interval.n), shown(score, score.interval.value), _bounds(score))
        for name, score in outcome.scores.categories.items()
    ]
    headline = outcome.scores.metrics[0].name
    return Table(outcome.title, ("category", "items", headline, "95% interval"), tuple(rows), is_summed=False)


def shown(score: MetricScore, value: float) -> str:
    """A value of a metric as text: shares in percent, other scales as they are."""
    return percent(value) if score.scale == 1 else f"{value:.1f}"


def _table_row(outcome: TaskOutcome, index: int, has_blind: bool) -> tuple[str, ...]:
    scores, score = outcome.scores, outcome.scores.metrics[index]
    unparsed = percent(scores.unparsed / len(scores.judged))
    row = (scores.task, score.name, str(score.interval.n), shown(score, score.interval.value), _bounds(score))
    blind = shown(score, outcome.blind.metrics[index].interval.value) if outcome.blind else ""
    return (*row, unparsed, shown(score, score.bounds[1]), *([blind] if has_blind else []))


def _bounds(score: MetricScore) -> str:
    return f"{shown(score, score.interval.low)} to {shown(score, score.interval.high)}"


def _caption(result: RunResult) -> str:
    questions = sum(len(outcome.scores.judged) for outcome in result.tasks.values())
    pictures = {key for outcome in result.tasks.values() for sample in outcome.samples for key in sample.pictures}
    errors = sum(outcome.scores.errors for outcome in result.tasks.values())
    parts = [
        f"{questions} questions",
        f"{len(pictures)} pictures",
        f"{errors} without an answer, counted as wrong" if errors else "",
        *(f"{name}: prompt {task.prompt}, profile {task.scores.profile}" for name, task in result.tasks.items()),
    ]
    return ", ".join(part for part in parts if part)


def _task_json(outcome: TaskOutcome) -> dict[str, Any]:
    scores = outcome.scores
    count = len(scores.judged)
    return {
        "title": outcome.title,
        "prompt": outcome.prompt,
        "profile": scores.profile,
        "max_new_tokens": outcome.max_new_tokens,
        "n": count,
        "clusters": scores.metrics[0].interval.clusters,
        "metrics": {score.name: _metric_json(score) for score in scores.metrics},
        "unparsed": {"count": scores.unparsed, "share": scores.unparsed / count},
        "errors": scores.errors,
        "categories": {name: _metric_json(score) for name, score in scores.categories.items()},
        "blind": {score.name: _metric_json(score) for score in outcome.blind.metrics} if outcome.blind else None,
        "data": outcome.data,
    }


def _metric_json(score: MetricScore) -> dict[str, Any]:
    interval: Interval = score.interval
    return {
        "value": interval.value,
        "interval": [interval.low, interval.high],
        "n": interval.n,
        "clusters": interval.clusters,
        "scale": score.scale,
        "bounds": list(score.bounds),
    }
