"""`sightline tasks`: the benchmarks there are, and all about one of them."""

from __future__ import annotations

import typer

ACTIONS = ("list", "show")


def tasks_command(
    action: str = typer.Argument("list", help="list, or show NAME."),
    name: str | None = typer.Argument(None, help="With show: the task."),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout."),
) -> None:
    """The benchmarks that `sightline eval --tasks` runs.

    list names each with its rows and title; show tells where its rows come from and how to get them, its prompts by
    origin with an example, its scoring profiles with their metrics, and the licence of its data.
    """
    from json import dumps

    from sightline.errors import ConfigError
    from sightline.evaluation.tasks.describe import describe, render_task
    from sightline.evaluation.tasks.registry import TASKS, load_task

    if action not in ACTIONS or (action == "show") != (name is not None):
        asked = " ".join(filter(None, (action, name)))
        raise ConfigError(f"tasks: expected list, or show NAME; got '{asked}'. `sightline tasks list` shows the names.")
    if name is not None:
        task = load_task(name)
        print(dumps(describe(task), indent=2, ensure_ascii=False) if json else render_task(task))
        return
    records = [load_task(each) for each in TASKS]
    if json:
        print(dumps([describe(task) for task in records], indent=2, ensure_ascii=False))
        return
    for task in records:
        print(f"{task.name:28} {f'{task.rows:,}' if task.rows else '':>8}  {task.title}")
