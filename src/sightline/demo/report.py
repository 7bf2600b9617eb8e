"""The demo's page: figures, learning curves, tables, and pictures before and after alignment."""

from __future__ import annotations

from dataclasses import replace

from sightline.demo.exam import DESCRIPTIONS, QUESTIONS, Exam
from sightline.demo.outcome import DemoOutcome
from sightline.evaluation.comparison.changes import TaskChange
from sightline.evaluation.comparison.page import FILTERS, shown_pair
from sightline.evaluation.eval_report import category_chart
from sightline.evaluation.outcome import WITHOUT_PICTURES
from sightline.evaluation.shown_samples import shown_with_blind
from sightline.logbook.metrics import Metrics
from sightline.pages.browser import STATUSES, browser
from sightline.pages.curves import Curve, CurveChart
from sightline.pages.report import Headline, IntervalChart, IntervalRow, Report, Section
from sightline.runs import RunFolder
from sightline.tables import percent


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
