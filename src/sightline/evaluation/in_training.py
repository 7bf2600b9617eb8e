"""Score benchmarks at each evaluation of a training run, without reloading the model."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch.distributed
from peft import PeftModel

from sightline.answering.asking import ask_all
from sightline.answering.local import LocalAnswerer
from sightline.answering.requests import Request
from sightline.config import place
from sightline.errors import ConfigError
from sightline.evaluation.eval_config import CUSTOM
from sightline.evaluation.metrics.intervals import metric_interval
from sightline.evaluation.requests import Asking, requests_of
from sightline.evaluation.scores import judge_items
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.task import Task
from sightline.evaluation.tasks.registry import load_task
from sightline.launch.processes import Processes
from sightline.models.load import LoadedVlm
from sightline.scoring.records import Item
from sightline.types import Answer


@dataclass(frozen=True)
class _Part:
    """A task with its items and what is asked of each."""

    task: Task
    items: tuple[Item, ...]
    requests: list[Request]

    def scores(self, answers: Mapping[str, Answer]) -> dict[str, float]:
        """Every metric of the task's default profile, the share of unparsed answers and the number of errors.

        Metrics that are resampled in one product have the ends of their 95% intervals beside them, as `NAME_low` and
        `NAME_high`; of others it would take longer than a step.
        """
        profile = self.task.default_profile
        given = [answers[request.key] for request in self.requests]
        judged = judge_items(self.task, self.items, given, profile, Asking())
        found: dict[str, float] = {}
        for metric in self.task.metrics[profile]:
            found[metric.name] = metric.value(judged)
            if metric.mean or metric.sums is not None:
                interval = metric_interval(metric, judged)
                if math.isfinite(interval.low):
                    found |= {f"{metric.name}_low": interval.low, f"{metric.name}_high": interval.high}
        unparsed = sum(one.verdict.parsed is None and not one.error for one in judged)
        return {**found, "unparsed": unparsed / len(judged), "errors": sum(bool(one.error) for one in judged)}


class TaskScores:
    """Called with a model and its processor, what the model scores: `pope_accuracy`, `pope_unparsed`, ...

    The model is neither copied nor loaded again, keeps its mode, and no random number is drawn. Where several processes
    hold it, each asks its share of the pictures, and all get the same scores.
    """

    def __init__(self, parts: Mapping[str, _Part]) -> None:
        self._parts = parts
        self._answerer: LocalAnswerer | None = None

    def __call__(self, model: Any, processor: Any) -> dict[str, float]:
        processes = _processes()
        if self._answerer is None or self._answerer.loaded.model is not model:
            loaded = LoadedVlm(model, processor, "The model in training", adapted=isinstance(model, PeftModel))
            self._answerer = LocalAnswerer(loaded, say=_say if processes.first else _say_nothing)
        requests = [request for part in self._parts.values() for request in part.requests]
        with _dense_attention(self._answerer.loaded.inner):
            answers = _of_all(ask_all(self._answerer, requests, processes=processes), processes)
        return {
            f"{label}_{name}".replace(" ", "_"): value
            for label, part in self._parts.items()
            for name, value in part.scores(answers).items()
        }


def task_scores(
    named: Sequence[str] | None, limit: int | None = None, own_rows: DataChoice | None = None
) -> TaskScores | None:
    """The tasks that `--eval_tasks` names, their items read and checked; None where it names none.

    Args:
        named: `TASK` or `TASK:DATA` (a file, folder or Hub id), each text one or several separated by commas. Rows of
            your own, `custom:DATA`, are called by their file.
        limit: only the first so many items of each.
        own_rows: how rows of `custom:DATA` are read.

    Raises:
        InputError: there is no such task, its rows are missing or wrong, or two of them would have one name.
    """
    specs = [spec.strip() for text in named or () for spec in text.split(",") if spec.strip()]
    if not specs:
        if limit is not None:
            raise ConfigError("eval_tasks_limit: there is nothing to limit. Name benchmarks by eval_tasks.")
        return None
    parts: dict[str, _Part] = {}
    for spec in specs:
        name, _, data = spec.partition(":")
        data = place(data, "eval_tasks")
        label = Path(data).stem if name == CUSTOM and data else name
        if label in parts:
            raise ConfigError(f"eval_tasks: expected each name once, got '{label}' twice. Rename a file, or drop one.")
        task = load_task(name)
        choice = own_rows if own_rows is not None and name == CUSTOM else DataChoice()
        items = load_items(task, replace(choice, data=data or None, limit=limit)).items
        parts[label] = _Part(task, items, requests_of(task, items, Asking(), ""))
    return TaskScores(parts)


def _processes() -> Processes:
    if not torch.distributed.is_initialized():
        return Processes()
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())


def _of_all(answers: dict[str, Answer], processes: Processes) -> dict[str, Answer]:
    """The answers that all processes have got together."""
    if processes.count == 1:
        return answers
    shares: list[Any] = [None] * processes.count
    torch.distributed.all_gather_object(shares, answers)
    return {key: answer for share in shares for key, answer in share.items()}


@contextmanager
def _dense_attention(model: Any) -> Iterator[None]:
    """SDPA for as long as the model answers, where it trains with FlexAttention, which takes no mask of ours."""
    decoder = model.get_decoder()
    attention = str(decoder.config._attn_implementation)
    if not attention.startswith("flex"):
        yield
        return
    decoder.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        decoder.set_attn_implementation(attention)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _say_nothing(text: str) -> None:
    """For processes that are not the first."""
