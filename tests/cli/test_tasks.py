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


def test_the_list_is_shown_where_nothing_else_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks", "list"]) == 0
    listed = capsys.readouterr().out
    assert run(["tasks"]) == 0 and capsys.readouterr().out == listed
    assert run(["tasks", "--json"]) == 0 and len(json.loads(capsys.readouterr().out)) == len(TASKS)


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
        (["show"], "Missing argument 'name'"),
        (["list", "pope"], "unexpected extra argument(s) (pope)"),
        (["show", "poppe"], "there is no task 'poppe'. Did you mean 'pope'?"),
        (["show", "mmu_val"], "there is no task 'mmu_val'. Did you mean 'mmmu_val'?"),
        (["show", "ai2d"], "there is no task 'ai2d'. Those of this name: ai2d_masked, ai2d_no_mask."),
        (["pope"], "No such command 'pope'. For that task: `sightline tasks show pope`."),
        (["lst"], "No such command 'lst'. Did you mean 'list'?"),
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
