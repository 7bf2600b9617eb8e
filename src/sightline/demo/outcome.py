"""The result of a demo: scores before and after alignment, baselines, comparisons, next steps."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from sightline.demo.exam import DESCRIPTIONS, QUESTIONS
from sightline.demo.preferences import PairCounts
from sightline.demo.stages import Stage
from sightline.evaluation.comparison.changes import TaskChange, task_change
from sightline.evaluation.comparison.pairs import PairedSamples, SamplePair
from sightline.evaluation.comparison.run import RunComparison
from sightline.evaluation.comparison.tables import category_changes, p_sign
from sightline.evaluation.metrics.intervals import cluster_of
from sightline.evaluation.metrics.means import mean_score
from sightline.evaluation.outcome import MAJORITY, WITHOUT_PICTURES, RunResult, category_table, to_json
from sightline.evaluation.scores import TaskScores
from sightline.pages.report import Commands
from sightline.stats.intervals import clustered_mean
from sightline.types import Interval, Table

SMOKE_TEST = (
    "--quick is a smoke test: all steps ran, on too few scenes to learn anything. Leave it out for a model that sees."
)


@dataclass(frozen=True)
class DemoOutcome:
    """All that a demo found.

    Attributes:
        folder: the demo's folder.
        before: the trained model.
        after: the aligned one.
        comparison: before against after.
        is_quick: it was a smoke test.
    """

    folder: Path
    before: RunResult
    after: RunResult
    comparison: RunComparison
    pairs: PairCounts
    stages: tuple[Stage, ...]
    is_quick: bool = False

    @property
    def note(self) -> str:
        """What the figures are not to be read as; empty where they are a result."""
        return SMOKE_TEST if self.is_quick else ""

    @property
    def sides(self) -> Mapping[str, TaskScores]:
        """The scores of the questions: those of both models and of the baselines."""
        trained = self.before.tasks[QUESTIONS].sides
        return {"aligned": self.after.tasks[QUESTIONS].scores, "trained": trained.pop("score"), **trained}

    @property
    def accuracy_change(self) -> TaskChange:
        """Questions before and after alignment, paired by item."""
        return self.comparison.tasks[QUESTIONS]

    @cached_property
    def error_change(self) -> TaskChange:
        """Shares of descriptions with an invented or missing object, paired by picture; less is better."""
        change = self.comparison.tasks[DESCRIPTIONS]
        pairs = (
            SamplePair(*(replace(one, score=1 - one.score) for one in (pair.before, pair.after)))
            for pair in change.samples.pairs
        )
        title = "Descriptions with an invented or missing object, before (A) and after (B); less is better"
        return task_change(DESCRIPTIONS, title, mean_score("errors"), PairedSamples(tuple(pairs)), change.detect)

    @property
    def seconds(self) -> float:
        """Wall-clock time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def questions_table(self) -> Table:
        """Accuracy of the trained model per kind, beside the baselines."""
        table = category_table(self.before.tasks[QUESTIONS], with_all=True)
        return replace(table, title="Held-out questions, trained model")

    def accuracy_table(self) -> Table:
        """Accuracy per kind before and after alignment."""
        table = category_changes(self.accuracy_change, with_all=True)
        title = "Held-out questions, before (A) and after (B) alignment"
        return replace(table, title=title, caption=_evidence(self.accuracy_change, "improved", "worsened"))

    def errors_table(self) -> Table:
        """Share of descriptions with an invented or missing object before and after alignment."""
        table = category_changes(self.error_change, with_all=True)
        return replace(table, caption=_evidence(self.comparison.tasks[DESCRIPTIONS], "mended", "spoilt"))

    def next_commands(self) -> Commands:
        """Commands to try."""
        sightline = "sightline" if shutil.which("sightline") else quote(sys.argv[0])  # as it was called
        model, world = quote(str(self.folder / "model")), self.folder / "world"
        picture = quote(str(world / "images" / "heldout-00000.png"))
        example, scores = self.before.tasks[QUESTIONS].samples[0], self.folder / "scores"
        return Commands(
            "What to try next",
            (
                (
                    f"{sightline} ask {model} {picture} {quote(example.question)}",
                    f"Ask the aligned model about a picture that it never saw. Right is: {example.answers[0]}.",
                ),
                (
                    f"{sightline} eval --model {model} --data {quote(str(world / 'heldout.jsonl'))}",
                    "Evaluate it on every held-out question.",
                ),
                (
                    f"{sightline} compare {quote(str(scores / 'trained'))} {quote(str(scores / 'aligned'))}",
                    "See what alignment changed, question by question.",
                ),
                (
                    f"{sightline} sft --model_name_or_path {model} --dataset_name rows.jsonl --max_length none "
                    f"--output_dir {quote(str(self.folder / 'mine'))}",
                    "Train it further on your own rows: image, question, answer.",
                ),
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """What `results.json` and `--json` hold."""
        shares = {name: _interval(scores.metrics[0].interval) for name, scores in self.sides.items()}
        return {
            "model": str(self.folder / "model"),
            "accuracy": shares["trained"],
            "accuracy_after": shares["aligned"],
            "accuracy_change": _interval(self.accuracy_change.overall.difference),
            "blind_accuracy": shares[WITHOUT_PICTURES],
            "majority_accuracy": shares[MAJORITY],
            "description_errors": _interval(_errors(self.before)),
            "description_errors_after": _interval(_errors(self.after)),
            "description_errors_change": _interval(self.error_change.overall.difference),
            "pairs": {"own_mistakes": self.pairs.own, "altered_truths": self.pairs.altered},
            "questions": to_json(self.before)["tasks"][QUESTIONS],
            "questions_after": to_json(self.after)["tasks"][QUESTIONS],
            "seconds": round(self.seconds, 1),
            "stages": {stage.name: round(stage.seconds, 1) for stage in self.stages},
        }


def _errors(result: RunResult) -> Interval:
    """The share of descriptions with an invented or missing object."""
    judged = result.tasks[DESCRIPTIONS].scores.judged
    return clustered_mean([1 - one.verdict.score for one in judged], [cluster_of(one) for one in judged])


def _evidence(change: TaskChange, better: str, worse: str) -> str:
    overall = change.overall
    test = f"; McNemar's exact test: {p_sign(change.mcnemar)}" if change.mcnemar is not None else ""
    return f"{overall.improved} {better}, {overall.worsened} {worse} of {overall.difference.n}{test}"


def _interval(interval: Interval) -> dict[str, Any]:
    return {"value": interval.value, "interval": [interval.low, interval.high], "n": interval.n}
