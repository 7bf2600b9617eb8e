"""The result of a demo, before and after alignment, with baselines, comparisons and next steps; and its page."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from sightline.console import percent
from sightline.demo.exam import DESCRIPTIONS, QUESTIONS, Exam, PairCounts
from sightline.demo.settings import Stage
from sightline.evaluation.comparison.changes import PairedSamples, SamplePair, TaskChange, task_change
from sightline.evaluation.comparison.page import FILTERS, shown_pair
from sightline.evaluation.comparison.run import RunComparison
from sightline.evaluation.comparison.tables import category_changes, p_sign
from sightline.evaluation.eval_report import category_chart
from sightline.evaluation.metrics.intervals import cluster_of
from sightline.evaluation.metrics.means import mean_score
from sightline.evaluation.outcome import MAJORITY, WITHOUT_PICTURES, RunResult, category_table, to_json
from sightline.evaluation.scores import TaskScores
from sightline.evaluation.shown_samples import shown_with_blind
from sightline.logbook.story import Metrics
from sightline.pages.browser import STATUSES, browser
from sightline.pages.curves import Curve, CurveChart
from sightline.pages.report import Commands, Headline, IntervalChart, IntervalRow, Report, Section
from sightline.runs import RunFolder
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


def demo_report(outcome: DemoOutcome, exam: Exam) -> Report:
    """All that the demo found, as a page."""
    accuracy = outcome.sides["trained"].metrics[0].interval
    descriptions = outcome.comparison.tasks[DESCRIPTIONS].samples.pairs
    pictures = {picture.key: picture for _, items in exam for item in items.items for picture in item.pictures}
    answers = [shown_with_blind(sample) for sample in outcome.after.tasks[QUESTIONS].samples]
    return Report(
        title="A small VLM, trained, aligned and measured",
        subtitle=(
            f"{accuracy.n} questions about {accuracy.clusters} scenes that training never saw, and "
            f"{len(descriptions)} descriptions; {outcome.seconds:.0f} s in all. {outcome.note}".strip()
        ),
        headlines=_headlines(outcome),
        sections=(
            Section("Learning", _curves(outcome), "Loss of each optimizer step as it was logged."),
            Section(
                "Questions",
                (_accuracies(outcome), outcome.questions_table()),
                "Exact match after normalising. Without pictures: the trained model asked blind. "
                "Majority: always the most frequent answer of the kind.",
            ),
            Section("Alignment", (outcome.errors_table(), outcome.accuracy_table()), _alignment(outcome)),
            Section("Questions and answers", (browser(answers, STATUSES, pictures),), "Of the aligned model."),
            Section(
                "Descriptions before and after",
                (browser([shown_pair(pair) for pair in descriptions], FILTERS, pictures),),
                "A before and B after alignment. Right means that no object is invented and none is missing.",
            ),
            Section("Next", (outcome.next_commands(),)),
        ),
        facts=tuple((stage.name, f"{stage.seconds:.0f} s") for stage in outcome.stages),
    )


def _headlines(outcome: DemoOutcome) -> tuple[Headline, ...]:
    accuracy, blind = (outcome.sides[name].metrics[0].interval for name in ("trained", WITHOUT_PICTURES))
    interval = f"95% interval {percent(accuracy.low)} to {percent(accuracy.high)}"
    gap = 100 * (accuracy.value - blind.value)
    return (
        Headline(percent(accuracy.value), "of held-out questions right", interval),
        Headline(f"{gap:+.1f}", "points from the same model blind", f"blind: {percent(blind.value)}"),
        _change_headline(outcome.error_change, "points of descriptions with an error, by alignment", "bad", "good"),
        _change_headline(outcome.accuracy_change, "points of accuracy, by alignment", "good", "bad"),
    )


def _change_headline(change: TaskChange, what: str, up: str, down: str) -> Headline:
    """The paired change in points, coloured only where its interval leaves out zero."""
    found = change.overall.difference
    tone = up if found.low > 0 else down if found.high < 0 else ""
    detail = f"95% interval {100 * found.low:+.1f} to {100 * found.high:+.1f}, {found.n} pairs"
    return Headline(f"{100 * found.value:+.1f}", what, detail, tone)


def _accuracies(outcome: DemoOutcome) -> IntervalChart:
    """Accuracies per kind and overall, one series per side."""
    chart = category_chart(outcome.sides["trained"].categories, outcome.sides)
    overall = IntervalRow("all", tuple(scores.metrics[0].interval for scores in outcome.sides.values()))
    return replace(chart, rows=(*chart.rows, overall))


def _curves(outcome: DemoOutcome) -> tuple[CurveChart, ...]:
    trained, aligned = (Metrics(RunFolder(outcome.folder / name).read_metrics()) for name in ("trained", "model"))
    accuracy = Curve("accuracy", *aligned["rewards/accuracies"].points)
    return (
        CurveChart("Training", "step", "loss", (Curve("loss", *trained["loss"].points),)),
        CurveChart("Alignment", "step", "chosen over rejected", (accuracy,)),
    )


def _alignment(outcome: DemoOutcome) -> str:
    pairs = outcome.pairs
    return (
        "The captions of training mostly break off after two things, as people's captions do. "
        f"{pairs.own + pairs.altered} preference pairs: the true description of a training scene over one with an "
        f"invented or missing object. {pairs.own} of these the model had written itself; the other {pairs.altered} "
        "are the truth with one object added or removed."
    )
