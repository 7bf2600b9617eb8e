"""The page of a training run: curves, scores, sharing, rows, samples, settings and machine."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.console import percent
from sightline.logbook.charts import EVAL, score_charts, training_charts
from sightline.logbook.story import FAILED, FINISHED, SECONDS, TRAINING, Metrics, Shared, Story
from sightline.pages import report
from sightline.pages.browser import spread
from sightline.runs import flat_names
from sightline.types import Table

MAX_CELL = 400  # letters of a setting's value
LATEST = 10  # records of which the headline takes the mean
LONGEST_SAID = 1500
MAX_SCORE_ROWS = 50


@dataclass(frozen=True)
class RunRecord:
    """All that a page is made of.

    Attributes:
        name: the run folder's.
        given: the settings that the recipe and the flags named, secrets hidden.
        environment: environment.json.
        samples: training rows with their pictures.
        samples_note: why there are none, or how they were chosen.
    """

    name: str
    story: Story
    metrics: Metrics
    given: Mapping[str, Any]
    environment: Mapping[str, Any]
    samples: tuple[report.Card, ...] = ()
    samples_note: str = ""


def run_page(run: RunRecord) -> report.Report:
    """The page of one run, as far as it has come."""
    sections = (
        report.Section("Training", _curves(run)),
        report.Section("Scores", _scores(run), "What the model in training answers to the tasks at each evaluation."),
        report.Section("What was shared", _sharing(run.story)),
        report.Section("Rows", _rows(run.story)),
        report.Section("Samples", _samples(run), run.samples_note if run.samples else ""),
        report.Section("Settings", _settings(run)),
        report.Section("Machine", (report.Listing("", ("name", "value"), _machine(run.environment)),)),
    )
    return report.Report(
        title=run.name,
        subtitle=_subtitle(run.story),
        headlines=_headlines(run),
        sections=tuple(section for section in sections if section.blocks),
        facts=tuple((name, value) for name, value in (("model", run.story.model), ("data", run.story.data)) if value),
        note="The intervals of scores are 95% and clustered by picture.",
    )


def told_state(story: Story) -> str:
    """How far a run came, in a sentence."""
    steps = f"step {story.step:,}" + (f" of {story.max_steps:,}" if story.max_steps else "")
    if story.state == TRAINING:
        return f"In training: {steps} at {story.written}. Where no process trains any more, it was killed after that."
    if story.state == FINISHED:
        return f"Finished: {steps} at {story.written}."
    how = "Failed" if story.state == FAILED else "Stopped"
    return f"{how} at {steps}, {story.written}: {story.told}"


def _subtitle(story: Story) -> str:
    of = f" of {story.model}" if story.model else ""
    on = f" on {story.data}" if story.data else ""
    return f"{story.title}{of}{on}."


def _headlines(run: RunRecord) -> tuple[report.Headline, ...]:
    story, metrics = run.story, run.metrics
    tone = {FAILED: "bad", FINISHED: "good"}.get(story.state, "")
    of = f"of {story.max_steps:,}, " if story.max_steps else ""
    state = "in training" if story.state == TRAINING else story.state
    found = [report.Headline(f"{story.step:,}", "steps", of + state, tone)]
    if metrics["loss"].steps:
        values = metrics["loss"].known[1][-LATEST:]
        loss = f"{values.mean():.4g}" if len(values) else "not finite"
        held_out = metrics["eval_loss"].last
        detail = f"in evaluation {held_out:.4g}" if math.isfinite(held_out) else _of_records(len(values))
        found.append(report.Headline(loss, "training loss", detail, "" if len(values) else "bad"))
    for name, label in (("rewards/accuracies", "of pairs: chosen over rejected"), *_named_scores(metrics)):
        value = metrics[name].last
        if math.isfinite(value):
            found.append(report.Headline(percent(value), label, _interval(metrics, name)))
    seconds = metrics[SECONDS].last
    if math.isfinite(seconds):
        rate = metrics.rate(story.rows_per_step).last
        found.append(
            report.Headline(duration(seconds), "of training", f"{rate:.3g} rows a second" if rate == rate else "")
        )
    return tuple(found[:5])


def _of_records(count: int) -> str:
    return "the last record" if count == 1 else f"mean of the last {count} records"


def _named_scores(metrics: Metrics) -> list[tuple[str, str]]:
    return [(name, name.removeprefix(EVAL).replace("_", " ")) for name in metrics.scores()[:2]]


def _curves(run: RunRecord) -> tuple[report.Block, ...]:
    story = run.story
    tone = {FAILED: "bad", FINISHED: "good"}.get(story.state, "")
    blocks: list[report.Block] = [report.Notice(told_state(story), tone)]
    for part in story.parts:
        blocks.append(report.Notice(f"Gone on with from step {part.until:,}. Before: {part.told}."))
    charts = training_charts(run.metrics, story.rows_per_step)
    return (*blocks, *(charts or (report.Notice("No step has been logged yet."),)))


def _scores(run: RunRecord) -> tuple[report.Block, ...]:
    metrics = run.metrics
    names = [name for name in metrics.of_tasks() if not name.endswith(("_low", "_high"))]
    if not names:
        return ()
    steps = sorted({step for name in names for step in metrics[name].steps})
    chosen = [*(steps[place] for place in spread(range(len(steps) - 1), MAX_SCORE_ROWS - 1)), steps[-1]]
    columns = [_score_cells(metrics, name) for name in names]
    rows = tuple((f"{step:,.0f}", *(cells.get(step, "\N{EN DASH}") for cells in columns)) for step in chosen)
    header = ("step", *(name.removeprefix(EVAL).replace("_", " ") for name in names))
    left = f"{len(chosen)} of {len(steps):,} evaluations; metrics.jsonl holds all." if len(chosen) < len(steps) else ""
    return (*score_charts({"": metrics}), Table("", header, rows, left, is_summed=False))


def _score_cells(metrics: Metrics, name: str) -> dict[float, str]:
    """What the table says of a score at each step."""
    low, high = (dict(zip(*series.known, strict=True)) for series in _ends(metrics, name))
    cells = {}
    for step, value in zip(*metrics[name].known, strict=True):
        if name.endswith("_errors"):
            cells[step] = f"{value:.0f}"
        elif name.endswith("_unparsed"):
            cells[step] = percent(value)
        else:
            ends = f" ({low[step]:.3f} to {high[step]:.3f})" if step in low and step in high else ""
            cells[step] = f"{value:.3f}{ends}"
    return cells


def _interval(metrics: Metrics, name: str) -> str:
    low, high = (series.last for series in _ends(metrics, name))
    return f"95% interval {percent(low)} to {percent(high)}" if math.isfinite(low + high) else ""


def _ends(metrics: Metrics, name: str) -> tuple[Any, Any]:
    return metrics[f"{name}_low"], metrics[f"{name}_high"]


def _sharing(story: Story) -> tuple[report.Block, ...]:
    rows = [("route", story.route, story.reason)] if story.route else []
    if story.shared is not None:
        rows += _saved(story.shared)
    if story.references is not None:
        count, found = story.references
        told = f"{found:,} of {count:,} rows were stored before the run; the others were computed before its first step"
        rows.append(("stored references", f"{found / max(count, 1):.1%} found", told))
    return (report.Listing("", ("what", "how much", "why"), tuple(rows)),) if rows else ()


def _saved(shared: Shared) -> list[tuple[str, str, str]]:
    """Tokens and pictures that no batch held twice."""
    rows = []
    if shared.tokens_alone:
        saved = 1 - shared.tokens_read / shared.tokens_alone
        told = f"{shared.tokens_read:,} read, where rows of their own have {shared.tokens_alone:,}"
        rows.append(("tokens", f"{saved:.1%} saved", told))
    if shared.pictures_shown:
        saved = 1 - shared.pictures_read / shared.pictures_shown
        told = f"{shared.pictures_read:,} in batches, where their rows show {shared.pictures_shown:,}"
        rows.append(("pictures", f"{saved:.1%} saved", told))
    if shared.features_stored:
        part = shared.features_stored / max(shared.pictures_read, 1)
        told = f"{shared.features_stored:,} of {shared.pictures_read:,} pictures of batches came from the store"
        rows.append(("stored features", f"{part:.1%} found", told))
    return rows


def _rows(story: Story) -> tuple[report.Block, ...]:
    counts = [
        (name, "streamed" if count is None else f"{count:,}", "train" if name == "training" else "are evaluated")
        for name, count in story.rows.items()
    ]
    if story.left_out:
        counts.append(("left out of batches", f"{story.left_out:,}", "as they turned out bad; stderr names them"))
    said = [(f"{number}", text[:LONGEST_SAID]) for number, text in enumerate(story.said, start=1)]
    blocks: list[report.Block] = [report.Listing("", ("rows", "how many", "of them"), tuple(counts))] if counts else []
    if said:
        blocks.append(report.Listing("What the run said before its first step", ("line", "text"), tuple(said)))
    return tuple(blocks)


def _samples(run: RunRecord) -> tuple[report.Block, ...]:
    if run.samples:
        return (report.Gallery("", run.samples),)
    return (report.Notice(run.samples_note),) if run.samples_note else ()


def _settings(run: RunRecord) -> tuple[report.Block, ...]:
    blocks: list[report.Block] = []
    if run.given:
        blocks.append(
            report.Listing("Given by the recipe and the flags", ("setting", "value"), setting_rows(run.given))
        )
    if run.story.settings:
        everything = report.Listing("", ("setting", "value"), setting_rows(run.story.settings))
        blocks.append(report.Folded(f"All {len(everything.rows):,} settings, defaults among them", everything))
    return tuple(blocks)


def setting_rows(settings: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Names and values in the order of names, nested ones flat."""
    flat = flat_names(settings)
    return tuple((name, shown_value(flat[name])) for name in sorted(flat))


def shown_value(value: Any) -> str:
    """A setting's value as a recipe writes it, cut where it is very long."""
    if isinstance(value, list | tuple):
        text = ", ".join(map(shown_value, value))
    elif value is None or isinstance(value, bool):
        text = json.dumps(value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}\N{HORIZONTAL ELLIPSIS}"


def _machine(environment: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    names = ("time", "command", "platform", "processor", "cpus", "devices", "python", "commit", "variables", "packages")
    rows = []
    for name in names:
        value = environment.get(name)
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        elif isinstance(value, list):
            value = shlex.join(value) if name == "command" else ", ".join(value)
        if value not in (None, ""):
            rows.append((name, str(value)))
    return tuple(rows)


def duration(seconds: float) -> str:
    """A time as a reader says it."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, _ = divmod(int(seconds), 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
