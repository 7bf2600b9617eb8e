"""Score the answers of a finished run again, by another profile, without a model."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sightline.errors import DataError
from sightline.evaluation.eval_report import eval_report
from sightline.evaluation.exchange.choice import Exchange
from sightline.evaluation.outcome import RunResult, Said, TaskOutcome, outcome_of, write_outcome
from sightline.evaluation.requests import Asking
from sightline.evaluation.samples import SAMPLES, Sample, answer_of, blind_answer_of, item_of
from sightline.evaluation.scores import check_profile, judge_items
from sightline.evaluation.shown_samples import find_pictures
from sightline.evaluation.stored_run import MEND, read_samples, read_summary
from sightline.evaluation.tasks.registry import load_task
from sightline.pages.report import REPORT, Report, render_report
from sightline.runs import RunFolder


def run_score(
    run: Path,
    profile: str = "",
    likelihood_norm: str | None = None,
    output_dir: Path | None = None,
    exchange: Exchange | None = None,
) -> RunResult:
    """The run's result under `profile` (each task's default where empty); written to `output_dir` if one is given.

    What `exchange` asks for goes there, too, or into the run's own folder.

    A judge's verdicts are left out: they belong to the profile that could not read the answers.

    Raises:
        DataError: the folder holds no finished run.
        ConfigError: a task has no such profile.
    """
    summary = read_summary(run)
    names = {field.name for field in fields(Asking)}
    asking = Asking(**{name: value for name, value in summary["settings"].items() if name in names})
    if likelihood_norm is not None:
        asking = replace(asking, likelihood_norm=likelihood_norm)
    samples = read_samples(run, summary)
    tasks = {
        name: _score_again(name, record, [one for one in samples if one.task == name], profile, asking, run)
        for name, record in summary["tasks"].items()
    }
    result = RunResult(
        model=summary["model"],
        settings={**summary["settings"], **vars(asking)},
        provenance=summary["provenance"],
        tasks=tasks,
        duration_s=summary["duration_s"],
    )
    if output_dir is not None:
        folder = RunFolder(output_dir, resume_by="")
        folder.begin({"run": run, "profile": profile, "likelihood_norm": likelihood_norm})
        write_outcome(result, folder)
        folder.write_text(REPORT, render_report(_report(result)))
    if exchange is not None:
        exchange.write(result, output_dir or run)
    return result


def _report(result: RunResult) -> Report:
    """The page of the result, with the pictures of the rows that the run was made of."""
    wanted = {
        name: {key for sample in outcome.samples for key in sample.pictures} for name, outcome in result.tasks.items()
    }
    found = find_pictures({name: outcome.data for name, outcome in result.tasks.items()}, wanted)
    if found.note:
        print(found.note, file=sys.stderr)
    return eval_report(result, found.pictures, note=found.note)


def _score_again(
    name: str, record: dict[str, Any], samples: list[Sample], profile: str, asking: Asking, run: Path
) -> TaskOutcome:
    task = load_task(name)
    chosen = check_profile(task, profile)
    items = [item_of(sample) for sample in samples]
    said = [Said(sample.prompt, answer_of(sample), blind_answer_of(sample)) for sample in samples]
    blind = sum(one.blind is not None for one in said)
    if blind not in (0, len(items)):
        raise DataError(f"{run / SAMPLES}: {blind} of {len(items)} items of {name} have a blind answer. {MEND}")
    about = {part: record[part] for part in ("title", "prompt", "max_new_tokens", "data")}
    try:
        judged = judge_items(task, items, (one.answer for one in said), chosen, asking)
        return outcome_of(task, judged, said, chosen, asking, about, notes={})
    except (
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # the facts of an item, which every task reads
        raise DataError(
            f"{run / SAMPLES}: the items of {name} do not hold what its scorer reads ({error!r:.200}). {MEND}"
        ) from error
