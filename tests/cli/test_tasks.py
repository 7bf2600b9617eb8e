"""`sightline tasks` lists every benchmark and tells all about one; docs/tasks.md says the same."""

from __future__ import annotations

import json

import pytest

from sightline.cli.main import run
from sightline.evaluation.tasks.registry import TASKS
from tests.task_reference import TARGET, render_reference
from tests.test_architecture import modules_after


def test_the_list_has_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(TASKS)


def test_one_task_as_json_says_where_its_rows_come_from_and_what_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks", "show", "mmbench_dev_en", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sources"][0]["md5"] == "b6caf1133a01c6bb705cf753bb527ed8"
    assert [source["address"] for source in shown["sources"]] == [
        "https://opencompass.openxlab.space/utils/benchmarks/MMBench/MMBench_DEV_EN.tsv",
        "https://huggingface.co/datasets/lmms-lab-encoder/MMBench",
        "https://huggingface.co/datasets/lmms-lab/MMBench",
    ]
    assert shown["prompts"]["lmms-eval"].startswith("Look at the sign. What is shown? There are several options:")
    assert shown["profiles"]["vlmevalkit"] == ["circular_accuracy", "vanilla_accuracy", "accuracy"]
    assert run(["tasks", "list", "--json"]) == 0
    assert [task["name"] for task in json.loads(capsys.readouterr().out)] == list(TASKS)


def test_one_task_as_text_names_sources_profiles_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks", "show", "pope"]) == 0
    shown = capsys.readouterr().out
    for part in (
        "Hub dataset lmms-lab-encoder/POPE, split test",
        "strict (default): mean_f1",
        "Licence: Repository MIT",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "expected list, or show NAME; got 'show'"),
        (["list", "pope"], "expected list, or show NAME; got 'list pope'"),
        (["show", "poppe"], "there is no task 'poppe'. Did you mean 'pope'?"),
    ],
)
def test_a_wrong_call_says_what_is_expected(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["tasks", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_tasks_are_shown_without_torch() -> None:
    loaded = modules_after("from sightline.cli.main import run; assert run(['tasks', 'list']) == 0")
    assert loaded.isdisjoint({"torch", "transformers", "datasets", "trl"})


def test_the_reference_is_current() -> None:
    assert TARGET.read_text(encoding="utf-8") == render_reference(), "run `make docs`"
