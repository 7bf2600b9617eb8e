"""Rows of TRL's own columns that nobody can read, and lines that are none, are told by every verb, or left out."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from sightline.data.formats.conversion import ConversionSettings, run_convert
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.bad_rows import say_once
from sightline.errors import DataError
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task
from sightline.training.recipe import plan_recipe
from tests.cli.test_refused_pictures import trained, write
from tests.tiny import picture

ASKED = {"role": "user", "content": "what ?"}
ANSWER = [{"role": "assistant", "content": "red"}]
GOOD: dict[str, Any] = {"images": ["a.png"], "messages": [ASKED, *ANSWER]}
BAD: dict[int, dict[str, Any]] = {
    2: {"images": ["a.png"], "messages": [{"content": "what ?"}, *ANSWER]},
    4: {"images": ["a.png"], "messages": [{"role": "user", "content": [{"type": "image"}] * 2}, *ANSWER]},
    5: {"images": ["a.png"], "messages": [{"role": "user"}, *ANSWER]},
}
ROWS = [BAD.get(number, GOOD) for number in range(1, 8)]
NAMED = [f"rows.jsonl row {number}" for number in BAD]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    picture(1).save(tmp_path / "a.png")
    write(tmp_path / "rows.jsonl", ROWS)
    rejected = [{"role": "assistant", "content": "blue"}]
    pairs = [
        {"images": ["a.png"], "prompt": row["messages"][:1], "chosen": ANSWER, "rejected": rejected} for row in ROWS
    ]
    write(tmp_path / "pairs.jsonl", pairs)
    return tmp_path / "rows.jsonl"


def named(text: Any) -> list[str]:
    return [line.partition(": ")[0] for line in str(text).splitlines() if ".jsonl row" in line]


@pytest.mark.parametrize("goal", ["sft", "preferences"])
def test_training_lists_them_or_leaves_them_out(rows: Path, goal: str, capsys: Any) -> None:
    file = "pairs.jsonl" if goal == "preferences" else "rows.jsonl"
    with pytest.raises(DataError, match="by --skip_bad_rows") as caught:
        trained(rows.parent, goal)
    assert named(caught.value) == [name.replace("rows.jsonl", file) for name in NAMED]
    assert len(trained(rows.parent, goal, skip_bad_rows=True)) == 4
    assert f"{file}: 3 of 7 rows cannot be used and are left out:\n{file} row 2: " in capsys.readouterr().err


def test_what_looks_at_a_run_lists_them_or_leaves_them_out(rows: Path, capsys: Any) -> None:
    settings = ["--preset", "nano", "--dataset_name", str(rows), "--output_dir", str(rows.parent / "run")]
    with pytest.raises(DataError) as caught:
        plan_recipe(settings, "sft")
    assert named(caught.value) == NAMED
    plan = plan_recipe([*settings, "--skip_bad_rows", "true"], "sft")
    assert len(plan.rows) == 4 and plan.name == f"{rows} (as trained)"
    assert "rows.jsonl: 3 of 7 rows cannot be used" in capsys.readouterr().err


def test_evaluation_counts_them_in_what_it_writes(rows: Path, capsys: Any) -> None:
    rows.write_text(rows.read_text() + "{\n")
    with pytest.raises(DataError, match="rows.jsonl line 8: no valid JSON"):
        load_items(load_task("custom"), DataChoice(str(rows)))
    found = load_items(load_task("custom"), DataChoice(str(rows), skip_bad_rows=True))
    assert len(found.items) == 4 and [text.partition(":")[0] for text in found.bad_rows] == [
        "rows.jsonl line 8",
        *NAMED,
    ]
    answers = rows.parent / "answers.jsonl"
    write(answers, [{"id": item.id, "prediction": "red"} for item in found.items])
    output = rows.parent / "run"
    flags = ["--predictions", str(answers), "--output_dir", str(output), "--skip_bad_rows"]
    assert run(["eval", "--data", str(rows), *flags]) == 0
    said = capsys.readouterr().err
    assert "rows.jsonl: 4 of 8 rows cannot be used and are left out:\nrows.jsonl line 8: " in said
    assert all(said.count(f"{name}: ") == 1 for name in NAMED)
    (task,) = json.loads((output / "results.json").read_text())["tasks"].values()
    assert len(task["data"]["bad_rows"]) == 4
    assert "Left out, as they could not be used: 4 rows." in (output / "report.html").read_text()


@pytest.mark.parametrize("to", ["trl-sft", "parquet"])
def test_convert_lists_them_or_leaves_them_out(rows: Path, to: str) -> None:
    out = str(rows.parent / ("out.parquet" if to == "parquet" else "out.jsonl"))
    if to != "parquet":  # which takes rows as they are
        with pytest.raises(DataError) as caught:
            run_convert(ConversionSettings(str(rows), out, to))
        assert named(caught.value) == NAMED
    rows.write_text(rows.read_text() + "{\n")
    made = run_convert(ConversionSettings(str(rows), out, to, pictures=PictureAccess(skip_bad_rows=True)))
    left = [text.partition(":")[0] for text in made.bad_rows]
    assert left == ["rows.jsonl line 8", *(NAMED if to != "parquet" else [])]
    assert (made.rows_in, made.rows_out) == (8, 8 - len(left))


def test_check_counts_each_of_them_and_looks_at_the_others(rows: Path, capsys: Any) -> None:
    write(rows, [*ROWS, {**GOOD, "images": ["gone.png"]}])
    rows.write_text(rows.read_text() + "{\n")
    assert run(["data", "check", str(rows), "--json"]) == 1
    errors = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["severity"] == "error"]
    found = {one["kind"]: [example["row"] or example["detail"] for example in one["examples"]] for one in errors}
    assert found.pop("broken")[0].startswith("rows.jsonl line 9: ")
    assert found.pop("missing") == ["rows.jsonl row 8"]
    assert sorted(chain(*found.values())) == NAMED
    assert {one["of"] for one in errors if one["kind"] in ("broken", "refused")} == {9}


def test_check_of_rows_that_become_others_counts_those_that_cannot(tmp_path: Path, capsys: Any) -> None:
    picture(1).save(tmp_path / "a.png")
    captions = ["a red circle", 7, "a blue circle"]
    write(tmp_path / "rows.jsonl", [{"image": "a.png", "captions": [one]} for one in captions] + [{"image": "a.png"}])
    run(["data", "check", str(tmp_path / "rows.jsonl"), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert "columns" not in [one["kind"] for one in record["findings"]]


def test_tables_of_text_lose_their_rows_of_more_values(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question,answer\nwhat,red\nwhat,red,blue\nwhat,red\n1,2,3,4\n")
    choice = DataChoice(str(tmp_path / "rows.csv"))
    with pytest.raises(DataError, match=r"rows.csv row 2: more values .*\nrows.csv row 4: more"):
        load_items(load_task("custom"), choice)
    found = load_items(load_task("custom"), DataChoice(str(tmp_path / "rows.csv"), skip_bad_rows=True))
    assert len(found.items) == 2 and len(found.bad_rows) == 2


STREAMED = {"dataset_streaming": True, "max_steps": 1}


def test_of_streams_they_are_left_out_when_they_come(rows: Path, capsys: Any) -> None:
    say_once.cache_clear()
    with pytest.raises(DataError, match="rows.jsonl row 2: "):
        list(trained(rows.parent, "sft", **STREAMED))
    for _ in range(2):
        assert len(list(trained(rows.parent, "sft", **STREAMED, skip_bad_rows=True))) == 4
    said = capsys.readouterr().err
    assert said.count("Left out: rows.jsonl row 2: ") == said.count("Left out: rows.jsonl row 5: ") == 1


EMPTY: dict[str, list[dict[str, Any]]] = {
    "messages": [{"messages": [ASKED, *ANSWER]}, {"messages": [ASKED, {"role": "assistant", "content": " "}]}],
    "no messages": [{"messages": [ASKED, *ANSWER]}, {"messages": None}],
    "text": [{"text": "red"}, {"text": " \n"}],
    "no text": [{"text": "red"}, {"text": None}],
    "completion": [{"prompt": "what ?", "completion": "red"}, {"prompt": "what ?", "completion": ""}],
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", EMPTY)
def test_rows_of_text_that_say_nothing_are_bad_rows_of_streams_too(
    kind: str, streaming: bool, tmp_path: Path, capsys: Any
) -> None:
    write(tmp_path / "rows.jsonl", EMPTY[kind])
    say_once.cache_clear()
    given = STREAMED if streaming else {}
    with pytest.raises(DataError, match=r"rows.jsonl row 2: .* empty\. .* by --skip_bad_rows"):
        list(trained(tmp_path, "sft", **given))
    assert len(list(trained(tmp_path, "sft", **given, skip_bad_rows=True))) == 1
    assert f"{'Left out: ' if streaming else ''}rows.jsonl row 2: " in capsys.readouterr().err


def test_a_streamed_pair_of_text_that_says_nothing_is_a_bad_row(tmp_path: Path) -> None:
    pair = {"prompt": "what ?", "chosen": "red", "rejected": "blue"}
    write(tmp_path / "pairs.jsonl", [pair, {**pair, "rejected": ""}])
    with pytest.raises(DataError, match=r"pairs.jsonl row 2: .*rejected.* is empty"):
        list(trained(tmp_path, "preferences", **STREAMED))
    assert len(list(trained(tmp_path, "preferences", **STREAMED, skip_bad_rows=True))) == 1
