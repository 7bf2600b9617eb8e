"""The result of a run: scores and samples per task, their provenance, files and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.answering.requests import cut_note, endings
from sightline.console import percent
from sightline.evaluation.requests import Asking
from sightline.evaluation.samples import SAMPLES, Sample, answer_of, sample_of, samples_text
from sightline.evaluation.scores import Majority, MetricScore, TaskScores, judge_items, majority_baseline, score_task
from sightline.evaluation.task import JudgeNote, Task
from sightline.runs import RunFolder
from sightline.scoring.records import Judged
from sightline.types import Answer, Interval, Table

RESULTS = "results.json"
WITHOUT_PICTURES, MAJORITY = "without pictures", "majority"


@dataclass(frozen=True)
class TaskOutcome:
    """One task of a run.

    Attributes:
        data: source, revision and fingerprint of the items, what was left out, and what makes them doubtful.
        blind: the scores without pictures, where that was asked.
        majority: the scores of the most frequent gold answers, where answers are closed.
    """

    title: str
    prompt: str
    max_new_tokens: int
    data: Mapping[str, Any]
    scores: TaskScores
    samples: tuple[Sample, ...]
    blind: TaskScores | None = None
    majority: Majority | None = None

    @property
    def sides(self) -> dict[str, TaskScores]:
        """What stands side by side in tables and charts: the scores, and those of the baselines that there are."""
        blind, majority = self.blind, self.majority.scores if self.majority is not None else None
        named = {"score": self.scores, WITHOUT_PICTURES: blind, MAJORITY: majority}
        return {name: scores for name, scores in named.items() if scores is not None}

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the data are not known to be the whole benchmark; runs of before that was recorded are in doubt."""
        return tuple(self.data.get("doubts", ["the run did not record what was verified"]))

    @property
    def endings(self) -> dict[str, int]:
        """How often answers ended in each way that was told."""
        return endings(map(answer_of, self.samples))

    @property
    def cut_note(self) -> str:
        """How many answers were cut at their longest, in words; empty where none was."""
        return cut_note(map(answer_of, self.samples), self.max_new_tokens)

    @property
    def public_name(self) -> str:
        """The task's name, or where its data are in doubt one that nobody takes for the benchmark's."""
        return f"{self.scores.task}_unverified" if self.doubts else self.scores.task


@dataclass(frozen=True)
class Said:
    """What was asked for an item and what came back; `blind` is the answer without pictures, where that was asked."""

    prompt: str
    answer: Answer
    blind: Answer | None = None


def outcome_of(
    task: Task,
    judged: Sequence[Judged],
    said: Sequence[Said],
    profile: str,
    asking: Asking,
    about: Mapping[str, Any],
    notes: Mapping[str, JudgeNote],
) -> TaskOutcome:
    """The outcome of a task's judged items.

    Args:
        about: title, prompt, max_new_tokens and data of the outcome.
        notes: a judge's, by item id.
    """
    items = [one.item for one in judged]
    unseeing = [one.blind for one in said if one.blind is not None]
    blind = judge_items(task, items, unseeing, profile, asking) if unseeing else None
    samples = tuple(
        sample_of(
            task.name,
            one,
            said[place].prompt,
            said[place].answer,
            (blind[place], unseeing[place]) if blind is not None else None,
            notes.get(one.item.id),
        )
        for place, one in enumerate(judged)
    )
    return TaskOutcome(
        **about,
        scores=score_task(task, judged, profile),
        samples=samples,
        blind=score_task(task, blind, profile) if blind is not None else None,
        majority=majority_baseline(task, items, profile),
    )


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


def outcome_table(result: RunResult) -> Table:
    """A line per task with its headline metric, then its other metrics, and the headline of the baselines: without
    pictures, and the most frequent gold answers. At best: were all right that could not be read."""
    header = ("task", "items", "score", "95% interval", "unparsed", "at best")
    rows = [row for outcome in result.tasks.values() for row in _task_rows(outcome)]
    return Table(result.model, header, tuple(rows), _caption(result), is_summed=False)


def category_table(outcome: TaskOutcome, with_all: bool = False) -> Table:
    """The headline metric, or what stands for it there, per category, beside that of the baselines.

    Args:
        with_all: whether a last row has the headline of all items.
    """
    (_, scores), *baselines = outcome.sides.items()
    rows = [
        _category_row(name, score, [other.categories[name] for _, other in baselines])
        for name, score in scores.categories.items()
    ]
    if with_all:
        rows.append(_category_row("all", scores.metrics[0], [other.metrics[0] for _, other in baselines]))
    names = {score.name for score in scores.categories.values()}
    header = ("category", "items", *names, "95% interval", *(name for name, _ in baselines))
    return Table(outcome.title, header, tuple(rows), is_summed=with_all)


def _category_row(name: str, score: MetricScore, baselines: Sequence[MetricScore]) -> tuple[str, ...]:
    return (name, f"{score.interval.n:,}", *_cells(score), *(_cells(other)[0] for other in baselines))


def shown(value: float, scale: float) -> str:
    """A metric's value as text: shares in percent, points of hundreds with one digit, others with three."""
    if scale == 1:
        return percent(value)
    return f"{value:.1f}" if scale >= 100 else f"{value:.3f}"


_INDENT = "\u00a0\u00a0"  # kept by terminals and pages alike


def _task_rows(outcome: TaskOutcome) -> list[tuple[str, ...]]:
    scores = outcome.scores
    headline, *others = scores.metrics
    count = len(scores.judged)
    unparsed = percent(scores.unparsed / count)
    first = (f"{scores.task} {headline.name}", f"{count:,}", *_cells(headline), unparsed, _at_best(headline))
    rows: list[tuple[str, ...]] = [first]
    rows += [(_INDENT + score.name, "", *_cells(score), "", _at_best(score)) for score in others]
    if outcome.blind is not None:
        blind = outcome.blind.metrics[0]
        unread = percent(outcome.blind.unparsed / count)
        rows.append((f"{_INDENT}{WITHOUT_PICTURES}", "", *_cells(blind), unread, _at_best(blind)))
    if outcome.majority is not None:
        rows.append((f"{_INDENT}{_always(outcome.majority)}", "", *_cells(outcome.majority.scores.metrics[0]), "", ""))
    return rows


def _always(majority: Majority) -> str:
    """What the majority baseline says, in a few words."""
    answers = dict.fromkeys(majority.answers.values())
    return f"always '{next(iter(answers)):.40}'" if len(answers) == 1 else "majority of each category"


def _cells(score: MetricScore) -> tuple[str, str]:
    return shown(score.interval.value, score.scale), _interval(score)


def _at_best(score: MetricScore) -> str:
    return shown(score.bounds[1], score.scale)


def _interval(score: MetricScore) -> str:
    """Both ends; empty where one cluster says nothing of others."""
    low, high = score.interval.low, score.interval.high
    if not math.isfinite(low):
        return ""
    return f"{shown(low, score.scale).removesuffix('%')} to {shown(high, score.scale)}"


def _caption(result: RunResult) -> str:
    questions = sum(len(outcome.scores.judged) for outcome in result.tasks.values())
    pictures = {key for outcome in result.tasks.values() for sample in outcome.samples for key in sample.pictures}
    errors = sum(outcome.scores.errors for outcome in result.tasks.values())
    counted = [
        f"{questions:,} questions",
        f"{len(pictures):,} pictures",
        *([f"{errors:,} without an answer, counted as wrong"] if errors else []),
    ]
    asked = (f"{name}: prompt {task.prompt}, profile {task.scores.profile}" for name, task in result.tasks.items())
    cut = (f"{name}: {task.cut_note}" for name, task in result.tasks.items() if task.cut_note)
    changed = result.provenance.get("request_changes")
    sent = [f"The server refuses fields of a request: {', '.join(changed)}"] if changed else []
    unread = any(outcome.scores.unparsed for outcome in result.tasks.values())
    best = ["At best: were all right that could not be read (unparsed)."] if unread else []
    return "\n".join([", ".join(counted), *best, *asked, *cut, *sent])


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
        "metrics": _metrics_json(scores),
        "unparsed": {"count": scores.unparsed, "share": scores.unparsed / count},
        "errors": scores.errors,
        "finish_reasons": outcome.endings,
        "majority": _majority_json(outcome.majority) if outcome.majority is not None else None,
        "categories": {name: _metric_json(score) for name, score in scores.categories.items()},
        "blind": _metrics_json(outcome.blind) if outcome.blind is not None else None,
        "data": outcome.data,
    }


def _majority_json(majority: Majority) -> dict[str, Any]:
    return {"answers": majority.answers, "metrics": _metrics_json(majority.scores)}


def _metrics_json(scores: TaskScores) -> dict[str, Any]:
    return {score.name: _metric_json(score) for score in scores.metrics}


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
