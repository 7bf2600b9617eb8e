"""A prompt of plain text beside a picture without a mark: what training does with it, every verb says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from sightline.errors import DataError
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task
from tests.cli.test_refused_pictures import trained, write
from tests.tiny import picture

ANSWERS = {"sft": {"completion": "red"}, "preferences": {"chosen": "red", "rejected": "blue"}}


def rows(folder: Path, goal: str, *prompts: Any) -> Path:
    picture(1).save(folder / "a.png")
    path = folder / ("pairs.jsonl" if goal == "preferences" else "rows.jsonl")
    write(path, [{"image": "a.png", "prompt": prompt, **ANSWERS[goal]} for prompt in prompts])
    return path


def findings(path: Path, capsys: Any) -> dict[str, int]:
    assert run(["data", "check", str(path), "--json"]) == 0
    return {one["kind"]: one["count"] for one in json.loads(capsys.readouterr().out)["findings"]}


@pytest.mark.parametrize("goal", ANSWERS)
def test_check_warns_of_what_training_refuses(goal: str, tmp_path: Path, capsys: Any) -> None:
    path = rows(tmp_path, goal, "what ?", "<image>what ?")
    assert findings(path, capsys)["unmarked"] == 1
    with pytest.raises(DataError, match=r"row 1: 1 image, .* 0 placeholders.* plain text needs the model's own mark"):
        trained(tmp_path, goal)
    assert len(trained(tmp_path, goal, skip_bad_rows=True)) == 1


@pytest.mark.parametrize("goal", ANSWERS)
def test_messages_need_no_mark(goal: str, tmp_path: Path, capsys: Any) -> None:
    turn = {"role": "user", "content": "what ?"}
    path = rows(tmp_path, goal, [turn])
    row = json.loads(path.read_text())
    others = {name: [{"role": "assistant", "content": row[name]}] for name in ANSWERS[goal]}
    write(path, [{**row, **others}])
    assert "unmarked" not in findings(path, capsys)
    assert len(trained(tmp_path, goal)) == 1


def test_evaluation_asks_it_and_says_how_training_differs(tmp_path: Path) -> None:
    found = load_items(load_task("custom"), DataChoice(str(rows(tmp_path, "sft", "what ?"))))
    assert found.items[0].question == "what ?" and len(found.items[0].pictures) == 1
    assert "Prompts of plain text are asked by the chat template" in " ".join(found.notes)
    write(tmp_path / "text.jsonl", [{"prompt": "what ?", "completion": "red"}])
    assert "plain text" not in " ".join(load_items(load_task("custom"), DataChoice(str(tmp_path / "text.jsonl"))).notes)
