"""Load a task's record by name, and describe it as plain data or Markdown."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from sightline.evaluation.sources import where_to_get
from sightline.evaluation.task import Source, Task
from sightline.settings.known import TASKS as TASKS, require_task


def load_task(name: str) -> Task:
    """The record of a task. Raises ConfigError where no task has this name."""
    require_task(name)
    module = importlib.import_module(f"sightline.evaluation.tasks.{TASKS[name]}")
    record: Task = module.TASKS[name]
    return record


def describe(task: Task) -> dict[str, Any]:
    """Everything a reader of the record wants to know, ready for JSON; each prompt on the task's example."""
    return {
        "name": task.name,
        "title": task.title,
        "rows": task.rows or None,
        "sources": [{**vars(source), "address": where_to_get(source)} for source in task.sources],
        "prompts": {origin: prompt(task.example) for origin, prompt in task.prompts.items()},
        "default_prompt": task.default_prompt,
        "max_new_tokens": task.max_new_tokens,
        "profiles": {profile: [metric.name for metric in metrics] for profile, metrics in task.metrics.items()},
        "default_profile": task.default_profile,
        "licence": task.licence,
        "paper": task.paper,
        "note": task.note,
    }


def render_task(task: Task) -> str:
    """A task as a section of Markdown, without a line break at the end."""
    return "\n".join(_lines(task))


def _lines(task: Task) -> Iterator[str]:
    yield f"## {task.name}\n\n{task.title}."
    if task.note:
        yield f"\n{task.note}"
    yield ""
    yield f"- Rows: {f'{task.rows:,}' if task.rows else 'not known'}"
    for source in task.sources:
        yield f"- Source: {_source(source)}"
    yield f"- Profiles: {', '.join(_profile(task, name) for name in task.metrics)}"
    yield f"- Answers: at most {task.max_new_tokens} tokens"
    yield f"- Licence: {task.licence}"
    if task.paper:
        yield f"- Paper: {task.paper}"
    for origin, prompt in task.prompts.items():
        default = " (default)" if origin == task.default_prompt else ""
        yield f"\nPrompt `{origin}`{default}:\n\n```text\n{prompt(task.example)}\n```"


def _source(source: Source) -> str:
    details = [
        f"{name} {value}"
        for name, value in (
            ("configuration", source.config),
            ("split", source.split),
            ("revision", source.revision),
            ("MD5", source.md5),
        )
        if value
    ]
    kind = {"hub": "Hub dataset", "tsv": "VLMEvalKit's file", "file": "file"}[source.kind]
    return ", ".join([f"{kind} {source.place}", *details, where_to_get(source)])


def _profile(task: Task, name: str) -> str:
    default = " (default)" if name == task.default_profile else ""
    return f"{name}{default}: {', '.join(metric.name for metric in task.metrics[name])}"
