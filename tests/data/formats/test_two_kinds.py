"""Preference rows as people publish them: text beside messages, whole conversations, ms-swift's and KTO's columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.formats import preference_rows, sft_rows
from sightline.data.sources import read_dataset
from sightline.errors import DataError

ASKED = [{"role": "user", "content": "what ?"}]
RIGHT = [{"role": "assistant", "content": "circle"}]
WRONG = [{"role": "assistant", "content": "square"}]


def read(folder: Path, *rows: dict[str, Any], goal: Any = preference_rows) -> list[dict[str, Any]]:
    Image.new("RGB", (4, 4), "red").save(folder / "red.png")
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"image": "red.png", **row}) + "\n" for row in rows))
    return list(goal(read_dataset(path), "rows.jsonl").dataset)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "what ?", "chosen": [*ASKED, *RIGHT], "rejected": [*ASKED, *WRONG]},
        {"prompt": ASKED, "chosen": [*ASKED, *RIGHT], "rejected": [*ASKED, *WRONG]},
        {"prompt": ASKED, "chosen": "circle", "rejected": "square"},
        {"prompt": "what ?", "chosen": RIGHT, "rejected": WRONG},
        {"prompt": "what ?", "chosen": RIGHT, "rejected": "square"},
    ],
)
def test_rows_of_two_kinds_become_messages(row: dict[str, Any], tmp_path: Path) -> None:
    (one,) = read(tmp_path, row)
    assert (one["prompt"], one["chosen"], one["rejected"]) == (ASKED, RIGHT, WRONG)


def test_a_rejected_response_is_held_against_the_last_answer(tmp_path: Path) -> None:
    (one,) = read(
        tmp_path, {"messages": [{"role": "user", "content": "<image>what ?"}, *RIGHT], "rejected_response": "square"}
    )
    assert [part["type"] for part in one["prompt"][0]["content"]] == ["image", "text"]
    assert one["rejected"][0]["content"][0]["text"] == "square"


@pytest.mark.parametrize("row", [{"prompt": ASKED, "completion": RIGHT}, {"messages": [*ASKED, *RIGHT]}])
@pytest.mark.parametrize("column", ["label", "kto_tag"])
@pytest.mark.parametrize("goal", [sft_rows, preference_rows])
def test_answers_labelled_wrong_are_no_demonstrations(row: Any, column: str, goal: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"labelled true or false in {column} \(KTO's"):
        read(tmp_path, {**row, column: True}, {**row, column: False}, goal=goal)


def test_answers_all_labelled_right_are(tmp_path: Path) -> None:
    assert len(read(tmp_path, {"prompt": ASKED, "completion": RIGHT, "label": True}, goal=sft_rows)) == 1
