"""The demo's page: figures, learning curves, tables, and pictures before and after alignment."""

from __future__ import annotations

from sightline.demo.outcome import DemoOutcome
from sightline.demo.standing import Exam
from sightline.evaluation.compare import compare
from sightline.evaluation.results import percent
from sightline.evaluation.vqa_report import change_galleries, change_headline, galleries, interval_chart
from sightline.pages.curves import Curve, CurveChart
from sightline.pages.report import Headline, Report, Section
from sightline.runs import RunFolder


def demo_report(outcome: DemoOutcome, exam: Exam) -> Report:
    """All that the demo found, as a page."""
    accuracy = outcome.before.questions.accuracy
    return Report(
        title="A small VLM, trained, aligned and measured",
        subtitle=(
            f"{accuracy.n} questions about {accuracy.clusters} scenes that training never saw, and "
            f"{len(exam.scenes)} descriptions; {outcome.seconds:.0f} s in all. {outcome.note}".strip()
        ),
        headlines=_headlines(outcome),
        sections=(
            Section("Learning", _curves(outcome), "Loss of each optimizer step as it was logged."),
            Section(
                "Questions",
                (
                    interval_chart(outcome.after.questions, outcome.before.questions, outcome.blind, outcome.majority),
                    outcome.questions_table(),
                ),
                "Exact match after normalising. Blind: the same model without pictures. "
                "Majority: always the most frequent answer of the kind.",
            ),
            Section("Alignment", (outcome.errors_table(), outcome.accuracy_table()), _alignment(outcome)),
            Section("Questions and answers", galleries(outcome.after.questions, exam.questions)),
            Section(
                "Descriptions before and after",
                change_galleries(
                    compare(outcome.before.descriptions, outcome.after.descriptions), exam.descriptions, 6
                ),
                "Right means that no object is invented and none is missing.",
            ),
            Section("Next", (outcome.next_commands(),)),
        ),
        facts=tuple((stage.name, f"{stage.seconds:.0f} s") for stage in outcome.stages),
    )


def _headlines(outcome: DemoOutcome) -> tuple[Headline, ...]:
    accuracy, blind = outcome.before.questions.accuracy, outcome.blind.accuracy
    interval = f"95% interval {percent(accuracy.low)} to {percent(accuracy.high)}"
    gap = 100 * (accuracy.value - blind.value)
    return (
        Headline(percent(accuracy.value), "of held-out questions right", interval),
        Headline(f"{gap:+.1f}", "points from the same model blind", f"blind: {percent(blind.value)}"),
        change_headline(
            outcome.error_change, "points of descriptions with an error, by alignment", less_is_better=True
        ),
        change_headline(outcome.accuracy_change, "points of accuracy, by alignment"),
    )


def _curves(outcome: DemoOutcome) -> tuple[CurveChart, ...]:
    trained, aligned = (RunFolder(outcome.folder / name).read_metrics() for name in ("trained", "model"))
    return (
        CurveChart("Training", "step", "loss", (_curve("loss", "loss", trained),)),
        CurveChart("Alignment", "step", "chosen over rejected", (_curve("accuracy", "rewards/accuracies", aligned),)),
    )


def _curve(name: str, key: str, metrics: list[dict[str, float]]) -> Curve:
    points = [(row["step"], row[key]) for row in metrics if row.get(key) is not None]
    return Curve(name, tuple(float(step) for step, _ in points), tuple(float(value) for _, value in points))


def _alignment(outcome: DemoOutcome) -> str:
    pairs = outcome.pairs
    return (
        "The captions of training mostly break off after two things, as people's captions do. "
        f"{pairs.own + pairs.altered} preference pairs: the true description of a training scene over one with an "
        f"invented or missing object. {pairs.own} of these the model had written itself; the other {pairs.altered} "
        "are the truth with one object added or removed."
    )
