"""The page of a run: scores with intervals and bounds, categories, every sample to look through, how it was run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from sightline.evaluation.outcome import RunResult, TaskOutcome, category_table, outcome_table, shown
from sightline.evaluation.results import percent
from sightline.evaluation.samples import Sample
from sightline.evaluation.scores import MetricScore, TaskScores
from sightline.evaluation.shown_samples import shown_answer, shown_sample, status_of
from sightline.pages.browser import MAX_PICTURES, STATUSES, ShownSample, browser
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
        found.append(_blind_headline(score, outcome.blind.metrics[0]))
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


def _blind_headline(score: MetricScore, blind: MetricScore) -> Headline:
    """How far the score lies from the one without pictures."""
    gap = share(score).value - share(blind).value
    without = f"without them: {shown(blind.interval.value, blind.scale)}"
    return Headline(f"{100 * gap:+.1f}", "points owed to the pictures", without, "good" if gap > 0 else "bad")


def _score_blocks(result: RunResult) -> tuple[Block, ...]:
    blind = any(outcome.blind for outcome in result.tasks.values())
    rows = tuple(
        IntervalRow(name, _with_blind(outcome.scores.metrics[0], _blind_score(outcome), blind))
        for name, outcome in result.tasks.items()
    )
    chart = IntervalChart("", _series(blind), rows, "Headline metric of each task, in percent of full marks.")
    return (chart, outcome_table(result)) if len(rows) > 1 or blind else (outcome_table(result),)


def _category_sections(outcomes: list[TaskOutcome]) -> tuple[Section, ...]:
    blocks: list[Block] = []
    for outcome in outcomes:
        if len(outcome.scores.categories) < 2:
            continue
        blind = outcome.blind.categories if outcome.blind else {}
        rows = tuple(
            IntervalRow(f"{name} ({score.interval.n:,})", _with_blind(score, blind.get(name), bool(blind)))
            for name, score in outcome.scores.categories.items()
        )
        title = outcome.title if len(outcomes) > 1 else ""
        shown = next(iter(outcome.scores.categories.values())).name
        caption = f"{_words(shown).capitalize()} per category; in brackets the items."
        blocks.append(IntervalChart(title, _series(bool(blind)), rows, caption))
        blocks.append(Folded("As numbers", category_table(outcome)))
    return (Section("By category", tuple(blocks)),) if blocks else ()


def _blind_score(outcome: TaskOutcome) -> MetricScore | None:
    return outcome.blind.metrics[0] if outcome.blind is not None else None


def _with_blind(score: MetricScore, blind: MetricScore | None, has_blind: bool) -> tuple[Interval | None, ...]:
    return (share(score), share(blind) if blind is not None else None) if has_blind else (share(score),)


def _series(has_blind: bool) -> tuple[str, ...]:
    return ("with pictures", "without pictures") if has_blind else ("score",)


def _sample_blocks(
    outcomes: list[TaskOutcome], pictures: Mapping[str, Picture], max_pictures: int, note: str
) -> tuple[Block, ...]:
    samples = [_shown(sample) for outcome in outcomes for sample in outcome.samples]
    found = browser(samples, STATUSES, pictures, max_pictures)
    return (Notice(note), found) if note else (found,)


def _shown(sample: Sample) -> ShownSample:
    answers = [shown_answer(sample)]
    if sample.blind is not None:
        blind = {name: getattr(sample.blind, name) for name in ("prediction", "parsed", "score", "error")}
        answers = [shown_answer(sample, "with pictures"), shown_answer(replace(sample, **blind), "without pictures")]
    return shown_sample(sample, status_of(sample), answers)


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
