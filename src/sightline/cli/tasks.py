"""`sightline tasks`: list the benchmarks, and show one of them."""

from __future__ import annotations

from json import dumps

import typer

from sightline.cli.settings_help import complete_tasks


def list_command(json: bool = typer.Option(False, "--json", help="Print all about each as JSON on stdout.")) -> None:
    """Name each benchmark with its rows and title; so does `sightline tasks` alone."""

    from sightline.evaluation.tasks.registry import TASKS, describe, load_task

    records = [load_task(each) for each in TASKS]
    if json:
        print(dumps([describe(task) for task in records], indent=2, ensure_ascii=False))
        return
    for task in records:
        print(f"{task.name:28} {f'{task.rows:,}' if task.rows else '':>8}  {task.title}")


def show_command(
    name: str = typer.Argument(help="The task, as `sightline tasks list` names it.", autocompletion=complete_tasks),
    json: bool = typer.Option(False, "--json", help="Print JSON on stdout."),
) -> None:
    """Tell all about one benchmark: sightline tasks show pope.

    Where its rows come from and how to get them, its prompts by origin with an example, its scoring profiles with their
    metrics, and the licence of its data.
    """
    from sightline.settings.known import require_task

    require_task(name)

    from sightline.evaluation.tasks.registry import describe, load_task, render_task

    task = load_task(name)
    print(dumps(describe(task), indent=2, ensure_ascii=False) if json else render_task(task))


def meant_by(word: str) -> str:
    """What to write for a word that is no command: the task that it names."""
    from sightline.settings.known import TASKS

    return f"For that task: `sightline tasks show {word}`." if word in TASKS else ""
