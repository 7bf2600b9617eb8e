"""Compare two runs: pair their items, test each task, correct for their number, check what else differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError, DataError
from sightline.evaluation.comparison.changes import Change, SamplePair, TaskChange, pair_samples, task_change
from sightline.evaluation.comparison.reproduction import Reproduction, RunRecord, check_reproduction
from sightline.evaluation.samples import Sample
from sightline.evaluation.scores import check_profile
from sightline.evaluation.stored_run import read_environment, read_samples, read_summary
from sightline.evaluation.tasks.registry import load_task
from sightline.stats.paired import holm

DETECT = 0.01


@dataclass(frozen=True)
class RunComparison:
    """Run B against run A.

    Attributes:
        labels: what A and B are called: their models, with their folders where these are alike.
        left_out: tasks that only one of the runs has.
    """

    before: Path
    after: Path
    labels: tuple[str, str]
    tasks: Mapping[str, TaskChange]
    left_out: tuple[str, ...]
    reproduction: Reproduction


def run_compare(before: str | Path, after: str | Path, detect: float = DETECT) -> RunComparison:
    """Compare the run in the folder `before`, A, with the one in `after`, B, on the items that both hold.

    Args:
        detect: the result says how many items would show a difference of this share (0.01: one point of 100).

    Raises:
        DataError: a folder holds no finished run, or the runs share no task or, in a task, no item.
        ConfigError: `detect` is no share.

    Example:
        from sightline import DataChoice, EvalConfig, run_compare, run_eval

        for model in ("sft", "dpo"):
            run_eval(EvalConfig(model, choice=DataChoice("test.jsonl"), output_dir=f"scores/{model}"))
        comparison = run_compare("scores/sft", "scores/dpo")
        change = comparison.tasks["custom"]
        print(change.overall.difference, change.p_value, comparison.reproduction.conclusion)
    """
    before, after = Path(before), Path(after)
    if not 0 < detect < 1:
        raise ConfigError(f"--detect: expected a share of full marks between 0 and 1 (0.01: one point), got {detect}.")
    records = _record(before), _record(after)
    one, two = (record.summary["tasks"] for record in records)
    names = [name for name in one if name in two]
    if not names:
        raise DataError(
            f"The runs have no task in common: {before} has {', '.join(one)}, {after} has {', '.join(two)}. "
            "Compare runs of the same tasks."
        )
    first, second = _by_task(before, records[0]), _by_task(after, records[1])
    paired = {name: pair_samples(name, first.get(name, []), second.get(name, [])) for name in names}
    changes = []
    for name in names:
        task = load_task(name)
        headline = task.metrics[check_profile(task, one[name]["profile"])][0]
        changes.append(task_change(name, one[name]["title"], headline, paired[name], detect))
    corrected = holm([change.p_value for change in changes])
    return RunComparison(
        before=before,
        after=after,
        labels=_labels(before, after, records),
        tasks={change.task: replace(change, p_holm=p) for change, p in zip(changes, corrected, strict=True)},
        left_out=tuple(name for name in (*one, *two) if name not in names),
        reproduction=check_reproduction(*records, paired),
    )


def to_json(comparison: RunComparison) -> dict[str, Any]:
    """What `comparison.json` and `sightline compare --json` hold."""
    runs = zip((comparison.before, comparison.after), comparison.labels, strict=True)
    check = comparison.reproduction
    return {
        **{name: {"run": str(run), "label": label} for name, (run, label) in zip("AB", runs, strict=True)},
        "tasks": {name: _task_json(change) for name, change in comparison.tasks.items()},
        "tasks_left_out": list(comparison.left_out),
        "reproduction": {
            "conclusion": check.conclusion,
            "is_warning": check.is_warning,
            "answers": check.answers,
            "other_answers": check.other_answers,
            "aspects": {aspect.name: {"status": aspect.status, **vars(aspect)} for aspect in check.aspects},
        },
    }


def _record(run: Path) -> RunRecord:
    return RunRecord(read_summary(run), read_environment(run))


def _by_task(run: Path, record: RunRecord) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {}
    for sample in read_samples(run, record.summary):
        samples.setdefault(sample.task, []).append(sample)
    return samples


def _labels(before: Path, after: Path, records: tuple[RunRecord, RunRecord]) -> tuple[str, str]:
    models = [str(record.summary["model"]) for record in records]
    if models[0] != models[1]:
        return models[0], models[1]
    return f"{models[0]} ({before})", f"{models[1]} ({after})"


def _task_json(change: TaskChange) -> dict[str, Any]:
    samples = change.samples
    return {
        "title": change.title,
        "metric": change.metric,
        "scale": change.scale,
        **_change_json(change.overall),
        "p_value": change.p_value,
        "p_value_holm": change.p_holm,
        "mcnemar_p_value": change.mcnemar,
        "detect": change.detect,
        "items_needed": change.items_needed,
        "only_in_A": samples.only_before,
        "only_in_B": samples.only_after,
        "asked_otherwise": samples.asked_otherwise,
        "categories": {name: _change_json(each) for name, each in change.categories.items()},
        "flips": [_flip_json(pair) for pair in (*samples.improved, *samples.worsened)],
    }


def _change_json(change: Change) -> dict[str, Any]:
    difference = change.difference
    return {
        "A": change.before,
        "B": change.after,
        "difference": difference.value,
        "interval": [difference.low, difference.high],
        "n": difference.n,
        "clusters": difference.clusters,
        "improved": change.improved,
        "worsened": change.worsened,
    }


def _flip_json(pair: SamplePair) -> dict[str, Any]:
    sample = pair.after
    return {
        **{name: getattr(sample, name) for name in ("id", "name", "category", "question", "options")},
        "gold": sample.answers,
        "pictures": sample.pictures,
        **{name: _answer_json(one) for name, one in (("A", pair.before), ("B", pair.after))},
    }


def _answer_json(sample: Sample) -> dict[str, Any]:
    parts = {name: getattr(sample, name) for name in ("parsed", "score", "error", "prompt")}
    return {"answer": sample.prediction, **parts}
