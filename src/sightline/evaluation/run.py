"""Run benchmarks: read the items, ask them once, judge the answers, score, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.answering.answerers import BY_ID, Answering, local_answering, remote_answering, vilt_answering
from sightline.answering.asking import Journal, Progress, ask_all
from sightline.answering.requests import Request, request_changes
from sightline.errors import ConfigError, nearest
from sightline.evaluation.eval_config import CUSTOM, EvalConfig
from sightline.evaluation.eval_report import eval_report
from sightline.evaluation.items import Items, doubts, say_of_rows
from sightline.evaluation.judge import SecondOpinion, judge_unparsed
from sightline.evaluation.outcome import RunResult, Said, TaskOutcome, outcome_of, write_outcome
from sightline.evaluation.predictions import read_predictions, stored_answering
from sightline.evaluation.requests import requests_of
from sightline.evaluation.scores import check_profile, judge_items
from sightline.evaluation.sources import load_items
from sightline.evaluation.task import Task
from sightline.evaluation.tasks.registry import load_task
from sightline.launch.processes import Processes, joined_processes
from sightline.machine import describe_environment
from sightline.models.devices import of_process
from sightline.models.load import load_vlm
from sightline.models.vilt.answers import load_speaker
from sightline.models.vilt.heads import is_vilt
from sightline.pages.report import REPORT, render_report
from sightline.runs import RunFolder, flat_names, plain_data
from sightline.secrets import hidden
from sightline.settings.loading import OF_VILT
from sightline.types import Answer


@dataclass(frozen=True)
class _Part:
    """A task of the run, with its items and what is asked of each, without pictures too where that is wanted."""

    task: Task
    items: Items
    prompt: str
    profile: str
    requests: list[Request]
    blind: list[Request]


ReadTasks = Callable[[EvalConfig], list[tuple[Task, Items]]]


def benchmark_items(config: EvalConfig) -> list[tuple[Task, Items]]:
    """The tasks that the settings name, each with its items.

    Raises:
        InputError: there is no such task, prompt or profile, or its rows cannot be used.
    """
    tasks = [_checked_task(name, config) for name in config.tasks]
    return [(task, load_items(task, config.choice)) for task in tasks]


def run_eval(
    config: EvalConfig, progress: Progress | None = None, read: ReadTasks = benchmark_items
) -> RunResult | None:
    """Evaluate a model on benchmarks or on your own rows, and return the scores with their intervals.

    Everything that can be wrong with rows, images and folders is told before the first question is asked. Under a
    launcher the first process writes and returns the result, and the others return None.

    Args:
        progress: called with each answer, for a bar.
        read: gives the tasks with their items, where they come from elsewhere than benchmarks do.

    Raises:
        InputError: rows, model, settings or folder cannot be used.
        MachineError: nothing was answered, or an endpoint answers no more; the journal keeps what was.

    Example:
        from sightline import DataChoice, EvalConfig, run_eval

        result = run_eval(EvalConfig("sft", choice=DataChoice("test.jsonl"), blind=True, output_dir="runs/test"))
        for metric in result.tasks["custom"].scores.metrics:
            print(metric.name, metric.interval.value, metric.interval.low, metric.interval.high)
    """
    with joined_processes() as processes, ExitStack() as at_work:
        run = _checked_folder(config, processes)
        tasks = processes.in_turn(lambda: read(config))
        if processes.first:
            for task, items in tasks:
                say_of_rows(task.name, items)
        answering = _open(config, tasks, processes)
        parts = [_part(task, items, config, answering) for task, items in tasks]
        judge = remote_answering(config.judging_endpoint(config.judge)) if config.judge is not None else None
        begun = _begun(config, parts, answering)
        if run is not None:
            processes.first_does(lambda: _begin(run, config, begun, at_work))
        start = time.perf_counter()
        journal = Journal(run.path, processes.rank) if run is not None else None
        asked = [request for part in parts for request in (*part.requests, *part.blind)]
        shown = progress if processes.first else None
        if answering.fingerprint:
            answers = ask_all(answering.answerer, asked, journal, processes, shown)
        else:  # stored answers need no journal, and every process has them all
            answers = ask_all(answering.answerer, asked, progress=shown)
        if not processes.first:
            return None
        outcomes = {part.task.name: _outcome(config, part, answers, answering.notes, journal, judge) for part in parts}
        result = RunResult(
            model=answering.answerer.name,
            settings=_settings(config),
            provenance=_provenance(answering, answers),
            tasks=outcomes,
            duration_s=time.perf_counter() - start,
        )
        if run is not None:
            _write(result, parts, run, config.report_pictures)
        config.exchange.write(result, run.path if run is not None else None)
        return result


def _checked_folder(config: EvalConfig, processes: Processes) -> RunFolder | None:
    if config.output_dir is None:
        if processes.count > 1:
            raise ConfigError("output_dir: several processes meet in the run's folder. Name one.")
        return None
    run = RunFolder(Path(config.output_dir), resume_by="--resume")
    processes.first_does(lambda: run.require_free(config.resume))
    return run


def _checked_task(name: str, config: EvalConfig) -> Task:
    task = load_task(name)
    prompt = config.asking.prompt
    if prompt and prompt not in task.prompts:
        hint = nearest(prompt, task.prompts) or "Choose one of these, or leave the flag out."
        raise ConfigError(f"--prompt: {name} has {', '.join(task.prompts)}; got '{prompt}'. {hint}")
    check_profile(task, config.profile)
    return task


def _open(config: EvalConfig, tasks: list[tuple[Task, Items]], processes: Processes) -> Answering:
    """Who answers; predictions belong to the only task."""
    if config.predictions is not None:
        found = read_predictions(Path(config.predictions), config.prediction_column)
        return stored_answering(found, tasks[0][1], config.model)
    if config.endpoint is not None:
        return remote_answering(config.asked_endpoint(config.endpoint))
    if is_vilt(config.model):
        _check_bare(config)
    loading = of_process(config.loading, processes.device, processes.count)
    if is_vilt(config.model):
        return vilt_answering(load_speaker(config.model, loading.device))
    loaded = load_vlm(config.model, adapter=config.adapter, options=loading)
    return local_answering(loaded, config.batch_tokens, config.asking.system, config.asking.enable_thinking)


def _check_bare(config: EvalConfig) -> None:
    asking = config.asking
    config.loading.refuse(OF_VILT, but=("device",))
    for name, given in (
        ("prompt", asking.prompt), ("adapter", config.adapter), ("blind", config.blind),
        ("method", asking.method != "generate"), ("system", asking.system),
        ("enable_thinking", asking.enable_thinking is not None),
    ):  # fmt: skip
        if given:
            raise ConfigError(
                f"--{name}: {config.model} is a ViLT. It reads the question alone, beside its picture, and chooses "
                "among its answers. Leave the flag out."
            )


def _part(task: Task, items: Items, config: EvalConfig, answering: Answering) -> _Part:
    fingerprint = answering.fingerprint
    asking = replace(config.asking, prompt=answering.prompt or config.asking.prompt)
    return _Part(
        task=task,
        items=items,
        prompt=asking.prompt or task.default_prompt,
        profile=check_profile(task, config.profile),
        requests=requests_of(task, items.items, asking, fingerprint),
        blind=requests_of(task, items.items, asking, fingerprint, blind=True) if config.blind else [],
    )


def _begun(config: EvalConfig, parts: list[_Part], answering: Answering) -> dict[str, Any]:
    """What answers depend on: who answers with which settings, how is asked, and each task's prompt and items."""
    asked = {
        part.task.name: {
            "prompt": part.prompt,
            "max_new_tokens": config.asking.max_new_tokens or part.task.max_new_tokens,
            "items": f"{len(part.items.items):,} of content {part.items.fingerprint[:8]}",
        }
        for part in parts
    }
    methods = {name: getattr(config.asking, name) for name in ("method", "likelihood_of")}
    return {
        "answers": dict(answering.provenance) or str(config.predictions),
        **methods,
        **({"system": config.asking.system} if config.asking.system else {}),
        "limit": config.choice.limit,
        "task": asked,
    }


def _begin(run: RunFolder, config: EvalConfig, begun: dict[str, Any], at_work: ExitStack) -> None:
    """Takes the folder for this run until `at_work` is closed."""
    if config.resume:
        _require_same(run, begun)
    at_work.enter_context(run.held())
    run.begin(vars(config), config.resume, begun)


def _require_same(run: RunFolder, begun: dict[str, Any]) -> None:
    """Nothing when the run that is resumed asked the same; tasks may be added, and a limit raised or lifted."""
    before = run.read_begun()
    both = [name for name in begun["task"] if f"task.{name}.prompt" in before]
    of_both = {f"task.{name}.{part}" for name in both for part in begun["task"][name]}
    free = {name for name in {*before, *flat_names(begun)} if name.startswith("task.")} - of_both
    if before.get("limit") != begun["limit"]:
        free |= {f"task.{name}.items" for name in both}
    run.require_same(begun, {*free, "limit"})


def _outcome(
    config: EvalConfig,
    part: _Part,
    answers: Mapping[str, Answer],
    notes: tuple[str, ...],
    journal: Journal | None,
    judge: Answering | None,
) -> TaskOutcome:
    task, asking = part.task, config.asking
    blind = [answers[request.key] for request in part.blind]
    said = [
        Said(
            "" if part.prompt == BY_ID else request.question.text, answers[request.key], blind[place] if blind else None
        )
        for place, request in enumerate(part.requests)
    ]
    judged = judge_items(task, part.items.items, (one.answer for one in said), part.profile, asking)
    opinion = _judged_again(config, judged, journal, judge)
    about = {
        "title": task.title if task.name != CUSTOM else Path(part.items.source.place).name,
        "prompt": part.prompt,
        "max_new_tokens": asking.max_new_tokens or task.max_new_tokens,
        "data": _data(part, notes, config.choice.limit),
    }
    return outcome_of(task, opinion.judged, said, part.profile, asking, about, opinion.notes)


def _judged_again(
    config: EvalConfig, judged: list[Any], journal: Journal | None, judge: Answering | None
) -> SecondOpinion:
    """The verdicts, those of the judge in place of the unparsed ones where one was asked for."""
    if judge is None:
        return SecondOpinion(tuple(judged), {})
    return judge_unparsed(judged, judge.answerer, judge.fingerprint, journal, limit=config.judge_max_new_tokens)


def _data(part: _Part, notes: tuple[str, ...], limit: int | None) -> dict[str, Any]:
    items = part.items
    return {
        **vars(items.source),
        "items": len(items.items),
        "fingerprint": items.fingerprint,
        "bad_rows": list(items.bad_rows),
        "doubts": list(doubts(part.task, items, limit)),
        "notes": [*items.notes, *notes],
    }


def _settings(config: EvalConfig) -> dict[str, Any]:
    names = (
        "adapter", "blind", "endpoint", "predictions", "prediction_column", "judge", "judge_model", "extra_body",
        "judge_extra_body", "judge_max_new_tokens",
    )  # fmt: skip
    given = {**vars(config.asking), **{name: getattr(config, name) for name in names}, "limit": config.choice.limit}
    given |= {"loading": config.loading.given}
    settings: dict[str, Any] = hidden(plain_data(given))
    return settings


def _provenance(answering: Answering, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """What answers came by: who answered, what it was asked otherwise than meant, and by which versions."""
    changes = request_changes(answers.values())
    return {**answering.provenance, **({"request_changes": list(changes)} if changes else {}), "versions": _versions()}


def _versions() -> dict[str, str]:
    environment = describe_environment()
    return {**environment["packages"], "python": environment["python"], "commit": environment["commit"]}


def _write(result: RunResult, parts: list[_Part], run: RunFolder, report_pictures: int) -> None:
    write_outcome(result, run)
    pictures = {picture.key: picture for part in parts for item in part.items.items for picture in item.pictures}
    run.write_text(REPORT, render_report(eval_report(result, pictures, report_pictures)))
