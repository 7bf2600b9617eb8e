"""The page of a run: scores with intervals and bounds, categories, every sample, and how it was run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sightline.console import percent
from sightline.evaluation.outcome import RunResult, TaskOutcome, category_table, outcome_table, shown
from sightline.evaluation.scores import MetricScore, TaskScores
from sightline.evaluation.shown_samples import shown_with_blind
from sightline.pages.browser import MAX_PICTURES, STATUSES, browser
from sightline.pages.report import Block, Folded, Headline, IntervalChart, IntervalRow, Listing, Notice, Report, Section
from sightline.types import Interval, Picture

MAX_HEADLINE_TASKS = 4


def eval_report(
    result: RunResult, pictures: Mapping[str, Picture], max_pictures: int = MAX_PICTURES, note: str = ""
) -> Report:
    """The report of a run.

    Args:
        pictures: by content key, those that can be opened.
        max_pictures: how many of them the page carries.
        note: why pictures are missing, where they are.
    """
    outcomes = list(result.tasks.values())
    items = sum(len(outcome.samples) for outcome in outcomes)
    keys = {key for outcome in outcomes for sample in outcome.samples for key in sample.pictures}
    what = outcomes[0].title if len(outcomes) == 1 else f"{len(outcomes)} tasks"
    return Report(
        title=result.model,
        subtitle=f"{what}: {items:,} questions about {len(keys):,} pictures.",
        headlines=_headlines(outcomes),
        sections=(
            Section("Scores", _score_blocks(result), _SCORES),
            *_category_sections(outcomes),
            Section("Samples", _sample_blocks(outcomes, pictures, max_pictures, note), _SAMPLES),
            Section("How it was run", (_settings_listing(result),)),
        ),
        facts=(
            ("model", result.model),
            ("time", f"{result.duration_s:.1f} s"),
            *((name, str(value)) for name, value in result.provenance.get("versions", {}).items() if value),
        ),
    )


_SCORES = (
    "An answer that the scoring rules cannot read is unparsed: it counts as wrong, and the last columns say what the "
    "score would be if all of these were right."
)
_SAMPLES = "What was asked, what was answered, what was read out of it. Keys: / searches, ← and → turn the pages."


def share(score: MetricScore) -> Interval:
    """A metric's interval in shares of full marks, for charts from 0 to 100%."""
    interval, scale = score.interval, score.scale
    ends = (interval.value / scale, interval.low / scale, interval.high / scale)
    return Interval(*ends, interval.n, interval.clusters)


def _headlines(outcomes: list[TaskOutcome]) -> tuple[Headline, ...]:
    if len(outcomes) > MAX_HEADLINE_TASKS:
        return ()
    if len(outcomes) > 1:
        return tuple(_headline(outcome.scores, outcome.title) for outcome in outcomes)
    (outcome,) = outcomes
    scores, count = outcome.scores, len(outcome.samples)
    score = scores.metrics[0]
    found = [_headline(scores, _words(score.name))]
    if outcome.blind is not None:
        blind = outcome.blind.metrics[0]
        found.append(_gap_headline(score, blind, "points owed to the pictures", "without them"))
    if outcome.majority is not None:
        majority = outcome.majority.scores.metrics[0]
        found.append(_gap_headline(score, majority, "points above the majority", "the most frequent answers"))
    bound = f"{shown(score.bounds[1], score.scale)} if all of these were right"
    found.append(Headline(percent(scores.unparsed / count), "unparsed", bound if scores.unparsed else ""))
    if scores.errors:
        found.append(Headline(f"{scores.errors:,}", "without an answer", "counted as wrong", "bad"))
    return tuple(found)


def _headline(scores: TaskScores, label: str) -> Headline:
    score = scores.metrics[0]
    interval = score.interval
    detail = f"95% interval {shown(interval.low, score.scale)} to {shown(interval.high, score.scale)}"
    return Headline(shown(interval.value, score.scale), label, detail if math.isfinite(interval.low) else "")


def _gap_headline(score: MetricScore, baseline: MetricScore, label: str, whose: str) -> Headline:
    """How far the score lies from that of a baseline."""
    gap = share(score).value - share(baseline).value
    without = f"{whose}: {shown(baseline.interval.value, baseline.scale)}"
    return Headline(f"{100 * gap:+.1f}", label, without, "good" if gap > 0 else "bad")


def _score_blocks(result: RunResult) -> tuple[Block, ...]:
    names = _series(result.tasks.values())
    rows = tuple(
        IntervalRow(name, _intervals(names, {side: scores.metrics[0] for side, scores in outcome.sides.items()}))
        for name, outcome in result.tasks.items()
    )
    chart = IntervalChart("", names, rows, "Headline metric of each task, in percent of full marks.")
    return (chart, outcome_table(result)) if len(rows) > 1 or len(names) > 1 else (outcome_table(result),)


def _category_sections(outcomes: list[TaskOutcome]) -> tuple[Section, ...]:
    blocks: list[Block] = []
    for outcome in outcomes:
        if len(outcome.scores.categories) < 2:
            continue
        chart = category_chart(outcome.scores.categories, outcome.sides)
        blocks.append(replace(chart, title=outcome.title if len(outcomes) > 1 else ""))
        blocks.append(Folded("As numbers", category_table(outcome)))
    return (Section("By category", tuple(blocks)),) if blocks else ()


def category_chart(categories: Mapping[str, MetricScore], sides: Mapping[str, TaskScores]) -> IntervalChart:
    """The headline per category, a colour for each side."""
    names = tuple(sides)
    rows = tuple(
        IntervalRow(
            f"{name} ({score.interval.n:,})",
            _intervals(names, {side: scores.categories[name] for side, scores in sides.items()}),
        )
        for name, score in categories.items()
    )
    shown = next(iter(categories.values())).name
    return IntervalChart("", names, rows, f"{_words(shown).capitalize()} per category; in brackets the items.")


def _series(outcomes: Iterable[TaskOutcome]) -> tuple[str, ...]:
    """The sides that any of the tasks has."""
    return tuple(dict.fromkeys(name for outcome in outcomes for name in outcome.sides))


def _intervals(names: Iterable[str], found: Mapping[str, MetricScore]) -> tuple[Interval | None, ...]:
    return tuple(share(found[name]) if name in found else None for name in names)


def _sample_blocks(
    outcomes: list[TaskOutcome], pictures: Mapping[str, Picture], max_pictures: int, note: str
) -> tuple[Block, ...]:
    samples = [shown_with_blind(sample) for outcome in outcomes for sample in outcome.samples]
    found = browser(samples, STATUSES, pictures, max_pictures)
    return (Notice(note), found) if note else (found,)


def _settings_listing(result: RunResult) -> Listing:
    rows = [
        (
            name,
            f"{outcome.data.get('place', '')} {outcome.data.get('revision', '')}".strip(),
            outcome.prompt,
            outcome.scores.profile,
            str(outcome.max_new_tokens),
            " ".join([*_bad_rows(outcome), *outcome.data.get("notes", ())]),
        )
        for name, outcome in result.tasks.items()
    ]
    header = ("task", "data", "prompt", "scoring profile", "longest answer", "notes")
    asked = ", ".join(f"{name} {value}" for name, value in result.settings.items() if value not in (None, "", False))
    return Listing("", header, tuple(rows), f"Settings: {asked}.")


def _bad_rows(outcome: TaskOutcome) -> list[str]:
    bad = outcome.data.get("bad_rows", ())
    return [f"Left out, as they could not be used: {len(bad):,} rows."] if bad else []


def _words(name: str) -> str:
    return name.replace("_", " ")
