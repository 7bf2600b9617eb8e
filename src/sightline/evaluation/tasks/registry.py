"""The record of a task by its name; the file that holds it is imported when it is asked for."""

from __future__ import annotations

import importlib

from sightline.evaluation.task import Task
from sightline.settings.task_names import TASKS as TASKS, require_task


def load_task(name: str) -> Task:
    """The record of a task.

    Raises:
        ConfigError: no task has this name.
    """
    require_task(name)
    module = importlib.import_module(f"sightline.evaluation.tasks.{TASKS[name]}")
    record: Task = module.TASKS[name]
    return record
