"""Write results and samples as lmms-eval does, with hashes of the data."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightline.evaluation.metrics.intervals import cluster_of
from sightline.evaluation.outcome import RunResult, TaskOutcome, to_json
from sightline.evaluation.samples import Sample
from sightline.evaluation.task import Metric
from sightline.evaluation.tasks.registry import load_task
from sightline.runs import plain_data, write_text
from sightline.scoring.records import Judged
from sightline.stats.intervals import clustered_standard_error

FOLDER = "lmms-eval"
NOT_KNOWN = "N/A"  # what lmms-eval writes for an error that it does not compute
_NO_FILTER = "none"


def write_lmms_eval(result: RunResult, run: Path) -> list[Path]:
    """`RUN/lmms-eval/MODEL/DATE_results.json` and a `DATE_samples_TASK.jsonl` for each task, as lmms-eval 0.7.3 has
    them; intervals, bounds and all else that it has no place for are under the key `sightline`.

    A task whose data are not known to be the whole benchmark has another name, so that nobody takes it for that."""
    date = time.strftime("%Y%m%d_%H%M%S")
    folder = run / FOLDER / _file_name(result.model)
    folder.mkdir(parents=True, exist_ok=True)
    result = replace(result, tasks={outcome.public_name: outcome for outcome in result.tasks.values()})
    lines = {name: [*_samples(outcome)] for name, outcome in result.tasks.items()}
    written = [
        write_text(folder / f"{date}_samples_{name}.jsonl", "".join(_line(record) for record in records))
        for name, records in lines.items()
    ]
    results = _results(result, date, {name: task_hash(records) for name, records in lines.items()})
    text = json.dumps(plain_data(results), indent=2, ensure_ascii=False, allow_nan=False)
    return [write_text(folder / f"{date}_results.json", text), *written]


def doc_hash(doc: Any) -> str:
    """SHA-256 of a document, by lmms-eval's formula; there the document is always `null` (0.7.3), here it is one."""
    return hashlib.sha256(json.dumps(doc, indent=2, ensure_ascii=False).encode()).hexdigest()


def task_hash(records: list[dict[str, Any]]) -> str:
    """SHA-256 of the documents of a task in order, by lmms-eval's formula."""
    joined = "".join(f"sample_{place}{record['doc_hash']}" for place, record in enumerate(records))
    return hashlib.sha256(joined.encode()).hexdigest()


def _results(result: RunResult, date: str, hashes: Mapping[str, str]) -> dict[str, Any]:
    tasks, settings, versions = result.tasks, result.settings, result.provenance.get("versions", {})
    metrics = {name: _metrics(outcome) for name, outcome in tasks.items()}
    return {
        "results": {name: _scores(outcome) for name, outcome in tasks.items()},
        "group_subtasks": {name: [] for name in tasks},
        "configs": {name: _config(result, outcome) for name, outcome in tasks.items()},
        "versions": {name: f"sightline {versions.get('sightline', '')}".strip() for name in tasks},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {name: {one.name: one.name != "yes_ratio" for one in metrics[name]} for name in tasks},
        "n-samples": {name: _counts(outcome, settings.get("limit")) for name, outcome in tasks.items()},
        "config": _run_config(result),
        "git_hash": versions.get("commit") or None,
        "git_branch": None,
        "lmms_eval_version": f"not lmms-eval: sightline {versions.get('sightline', '')}".strip(),
        "date": date,
        "usage": {},
        "efficiency": {},
        "task_hashes": dict(hashes),
        "model_source": "sightline",
        "model_name": result.model,
        "model_name_sanitized": _file_name(result.model),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": False,
        "chat_template": None,
        "chat_template_sha": result.provenance.get("chat_template"),
        "start_time": None,
        "end_time": None,
        "total_evaluation_time_seconds": str(result.duration_s),
        "sightline": to_json(result),
    }


def _run_config(result: RunResult) -> dict[str, Any]:
    settings = result.settings
    given = {"pretrained": result.model, **{name: settings.get(name) for name in ("adapter", "endpoint")}}
    return {
        "model": "sightline",
        "model_args": ",".join(f"{name}={value}" for name, value in given.items() if value),
        "model_backend": "sightline",
        "batch_size": None,
        "batch_sizes": [],
        "device": None,
        "use_cache": None,
        "limit": settings.get("limit"),
        "offset": 0,
        "bootstrap_iters": None,
        "process_docs_parallel": None,
        "gen_kwargs": None,
        "random_seed": None,  # nothing is drawn: answers are greedy, and no unparsed answer is guessed
        "numpy_seed": None,
        "torch_seed": None,
        "fewshot_seed": None,
        "resolved_cli_args": dict(settings),
    }


def _config(result: RunResult, outcome: TaskOutcome) -> dict[str, Any]:
    data = outcome.data
    likelihood = result.settings.get("method") == "likelihood"
    return {
        "task": outcome.public_name,
        "dataset_path": data["place"],
        "dataset_name": data["config"] or None,
        "dataset_kwargs": {"revision": data["revision"]} if data["revision"] else {},
        "test_split": data["split"] or None,
        "num_fewshot": 0,
        "metric_list": [
            {
                "metric": metric.name,
                "aggregation": "mean" if metric.mean else metric.name,
                "higher_is_better": metric.name != "yes_ratio",
            }
            for metric in _metrics(outcome)
        ],
        "output_type": "multiple_choice" if likelihood else "generate_until",
        "generation_kwargs": {"max_new_tokens": outcome.max_new_tokens, "temperature": 0.0, "do_sample": False},
        "repeats": 1,
        "cluster_key": "picture",
        "metadata": [
            {
                "prompt": outcome.prompt,
                "profile": outcome.scores.profile,
                "data": data["fingerprint"],
                "doubts": [*outcome.doubts],
            }
        ],
    }


def _counts(outcome: TaskOutcome, limit: int | None) -> dict[str, int]:
    count = len(outcome.samples)
    return {"original": max(load_task(outcome.scores.task).rows, count) if limit else count, "effective": count}


def _scores(outcome: TaskOutcome) -> dict[str, Any]:
    """The task's metrics under lmms-eval's keys, `metric,filter` and three kinds of standard error."""
    found: dict[str, Any] = {"alias": outcome.public_name}
    for metric, score in zip(_metrics(outcome), outcome.scores.metrics, strict=True):
        alone, clustered = _standard_errors(outcome.scores.judged) if metric.mean else (NOT_KNOWN, NOT_KNOWN)
        found[f"{metric.name},{_NO_FILTER}"] = score.interval.value
        found[f"{metric.name}_stderr,{_NO_FILTER}"] = alone
        found[f"{metric.name}_stderr_clt,{_NO_FILTER}"] = alone
        found[f"{metric.name}_stderr_clustered,{_NO_FILTER}"] = clustered
    return found


def _standard_errors(judged: tuple[Judged, ...]) -> tuple[float | str, float | str]:
    """Of the mean score: with each item its own cluster, and by picture without the factor C / (C - 1), which
    lmms-eval leaves out."""
    scores = [one.verdict.score for one in judged]
    clusters = [cluster_of(one) for one in judged]
    count = len(set(clusters))
    alone = clustered_standard_error(scores, range(len(scores))) if len(scores) > 1 else NOT_KNOWN
    if count < 2:
        return alone, NOT_KNOWN
    return alone, clustered_standard_error(scores, clusters) * math.sqrt((count - 1) / count)


def _samples(outcome: TaskOutcome) -> Iterator[dict[str, Any]]:
    metrics = _metrics(outcome)
    for place, (sample, judged) in enumerate(zip(outcome.samples, outcome.scores.judged, strict=True)):
        doc = _doc(sample)
        whole = {"id": sample.id, "cluster": str(cluster_of(judged)), "score": sample.score}
        yield {
            "doc_id": place,
            "doc": doc,
            "target": sample.answers[0] if len(sample.answers) == 1 else list(sample.answers),
            "resps": [[sample.prediction]],
            "filtered_resps": sample.prediction,
            "token_counts": [None],
            "doc_hash": doc_hash(doc),
            **{metric.name: sample.score if metric.mean else whole for metric in metrics},
            "input": sample.transcript,
            "parsed": sample.parsed,
            "error": sample.error,
        }


def _doc(sample: Sample) -> dict[str, Any]:
    """What was asked, pictures by content: two runs on the same data have the same, whatever file that came in."""
    names = ("id", "question", "options", "answers", "category", "pictures")
    before = {"turns": plain_data(sample.turns)} if sample.turns else {}
    return {name: plain_data(getattr(sample, name)) for name in names} | before


def _metrics(outcome: TaskOutcome) -> tuple[Metric, ...]:
    return load_task(outcome.scores.task).metrics[outcome.scores.profile]


def _line(record: dict[str, Any]) -> str:
    return json.dumps(plain_data(record), ensure_ascii=False) + "\n"


def _file_name(model: str) -> str:
    """A model's name as lmms-eval makes a folder of it."""
    return re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)
