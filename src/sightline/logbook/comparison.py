"""Several training runs side by side: curves over one another, settings that differ, where each of them ended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError
from sightline.logbook.charts import compared_charts, final_figures, score_charts
from sightline.logbook.page import duration, shown_value, told_state
from sightline.logbook.story import SECONDS, STORY, Metrics, Story, read_story
from sightline.pages.report import REPORT, Block, Headline, Listing, Notice, Report, Section, render_report
from sightline.runs import BEGUN, CONFIG, ENVIRONMENT, METRICS, RunFolder, flat_names, plain_data
from sightline.secrets import hidden
from sightline.types import Table

COMPARISON = "comparison.json"
RESULTS = "results.json"  # of an evaluation
OWN = frozenset({"output_dir", "logging_dir", "run_name", "resume_from_checkpoint", "hub_model_id"})
UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True)
class TrainingRun:
    """A training run as its folder tells it.

    Attributes:
        label: the folder's name, or its path where two have one name.
        settings: all that is known of them, flat, with the rows and the model that it began with and its packages.
    """

    folder: Path
    label: str
    story: Story
    metrics: Metrics
    settings: Mapping[str, Any]


def are_training_runs(folders: Sequence[Path]) -> bool:
    """Whether the folders hold training runs, and not what evaluations left.

    Raises:
        ConfigError: some do, others do not.
    """
    trained = [folder for folder in folders if _is_training_run(folder)]
    if trained and len(trained) < len(folders):
        others = [folder for folder in folders if folder not in trained]
        raise ConfigError(
            f"compare: expected runs of one kind, got training runs ({', '.join(map(str, trained))}) and others "
            f"({', '.join(map(str, others))}), which hold no records of a training. Compare trainings with trainings, "
            "and evaluations with evaluations."
        )
    return bool(trained)


def read_runs(folders: Sequence[Path]) -> tuple[TrainingRun, ...]:
    """The runs of training folders, in this order. Raises RunFolderError where a record is damaged."""
    names = [folder.absolute().name for folder in folders]
    labels = [str(folder) if names.count(name) > 1 else name for folder, name in zip(folders, names, strict=True)]
    return tuple(_read(folder, label) for folder, label in zip(folders, labels, strict=True))


def differing_settings(runs: Sequence[TrainingRun]) -> dict[str, tuple[Any, ...]]:
    """The settings that are not the same in all runs, each with its values in the order of runs; None where unknown."""
    names = sorted({name for run in runs for name in run.settings} - OWN)
    values = {name: tuple(run.settings.get(name) for run in runs) for name in names}
    return {name: found for name, found in values.items() if len({json.dumps(one) for one in found}) > 1}


def settings_table(runs: Sequence[TrainingRun]) -> Table:
    """What differs, for a terminal."""
    header = ("setting", *(run.label for run in runs))
    rows = _setting_rows(runs) or (("none that the runs recorded", *("" for _ in runs)),)
    return Table("Settings that differ", header, rows, is_summed=False)


def figures_table(runs: Sequence[TrainingRun]) -> Table:
    """Where each run ended, and its last figures."""
    figures = [final_figures(run.metrics) for run in runs]
    names = dict.fromkeys(name for found in figures for name in found)
    seconds = [run.metrics[SECONDS].last for run in runs]
    rows = [
        ("how it stands", *(run.story.state for run in runs)),
        ("steps", *(f"{run.story.step:,}" for run in runs)),
        ("time of training", *(duration(one) if math.isfinite(one) else UNKNOWN for one in seconds)),
        *((name, *(f"{found[name]:.4g}" if name in found else UNKNOWN for found in figures)) for name in names),
    ]
    return Table("Final figures", ("figure", *(run.label for run in runs)), tuple(rows), is_summed=False)


def to_json(runs: Sequence[TrainingRun]) -> dict[str, Any]:
    """What `comparison.json` and `sightline compare --json` hold of training runs."""
    told = [
        {
            "run": str(run.folder),
            "label": run.label,
            **{name: getattr(run.story, name) for name in ("state", "told", "step", "max_steps")},
            "seconds": run.metrics[SECONDS].last,
            "figures": final_figures(run.metrics),
        }
        for run in runs
    ]
    labels = [run.label for run in runs]
    differing = {name: dict(zip(labels, found, strict=True)) for name, found in differing_settings(runs).items()}
    found: dict[str, Any] = plain_data({"runs": told, "settings_that_differ": differing})
    return found


def runs_page(runs: Sequence[TrainingRun]) -> Report:
    """All of it as one page."""
    metrics = {run.label: run.metrics for run in runs}
    charts = compared_charts(metrics, {run.label: run.story.rows_per_step for run in runs})
    figures, differing = figures_table(runs), _setting_rows(runs)
    settings: Block = Notice("No setting differs that the runs recorded.")
    if differing:
        settings = Listing("", ("setting", *(run.label for run in runs)), differing)
    states = Listing("", ("run", "how it stands"), tuple((run.label, told_state(run.story)) for run in runs))
    sections = (
        Section("Curves", charts or (Notice("None of the runs has logged a step yet."),)),
        Section("Scores", score_charts(metrics)),
        Section("Settings that differ", (settings,)),
        Section("Final figures", (states, Table("", figures.header, figures.rows, is_summed=False))),
    )
    return Report(
        title=f"{len(runs)} training runs",
        subtitle=" \N{MIDDLE DOT} ".join(run.label for run in runs),
        headlines=tuple(_headline(run) for run in runs) if len(runs) <= 5 else (),
        sections=tuple(section for section in sections if section.blocks),
        note="Curves are what each run logged; a running mean is drawn over many points.",
    )


def write_runs(runs: Sequence[TrainingRun], output_dir: Path) -> None:
    """comparison.json and report.html. Raises RunFolderError where the folder holds another run."""
    folder = RunFolder(output_dir, resume_by="")
    folder.begin({"runs": [run.folder for run in runs]})
    folder.write_json(COMPARISON, to_json(runs))
    folder.write_text(REPORT, render_report(runs_page(runs)))


def _is_training_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (STORY, METRICS)) and not (folder / RESULTS).exists()


def _read(path: Path, label: str) -> TrainingRun:
    folder = RunFolder(path)
    story, metrics = read_story(path), Metrics(folder.read_metrics())
    given = folder.read_config() if (path / CONFIG).is_file() else {}
    begun = folder.read_begun() if (path / BEGUN).is_file() else {}
    recorded = flat_names(story.settings) if story is not None else {}
    settings = {**begun, **recorded, **flat_names(given), **_packages(path / ENVIRONMENT)}
    story = story or Story(state="of an earlier version, which recorded no end", step=metrics.last_step)
    return TrainingRun(path, label, story, metrics, hidden(settings))


def _packages(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    told = {name: found[name] for name in ("python", "platform", "devices") if found.get(name)}
    if found.get("commit"):
        told["commit"] = f"{found['commit'][:12]}{'+changes' if found['commit'].endswith('+changes') else ''}"
    return told | {f"package {name}": version for name, version in found.get("packages", {}).items()}


def _setting_rows(runs: Sequence[TrainingRun]) -> tuple[tuple[str, ...], ...]:
    rows = []
    for name, values in differing_settings(runs).items():
        known = [name in run.settings for run in runs]
        shown = (shown_value(one) if is_known else UNKNOWN for one, is_known in zip(values, known, strict=True))
        rows.append((name, *shown))
    return tuple(rows)


def _headline(run: TrainingRun) -> Headline:
    loss = run.metrics["eval_loss"].last if "eval_loss" in run.metrics else run.metrics["loss"].last
    kind = "evaluation loss" if "eval_loss" in run.metrics else "training loss"
    return Headline(f"{loss:.4g}" if math.isfinite(loss) else UNKNOWN, run.label, f"{kind}, step {run.story.step:,}")
