"""Demonstrations as Alpaca, ms-swift and The Cauldron have them become TRL's turns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.formats.columns import sft_rows
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError

NAMES = [
    ("question", "answer"),
    ("question", "answers"),
    ("instruction", "output"),
    ("query", "response"),
    ("problem", "solution"),
]


def read(folder: Path, *rows: dict[str, Any], access: Any = read_dataset) -> list[dict[str, Any]]:
    Image.new("RGB", (4, 4), "red").save(folder / "red.png")
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"images": ["red.png"], **row}) + "\n" for row in rows))
    return list(sft_rows(access(path), "rows.jsonl").dataset)


def spoken(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Each turn's role and words, `#` where a picture stands."""
    return [(message["role"], "".join(map(words, message["content"]))) for message in messages]


def words(part: Any) -> str:
    return part if isinstance(part, str) else "#" if part["type"] == "image" else part["text"]


@pytest.mark.parametrize("access", [read_dataset, stream_dataset], ids=["table", "stream"])
@pytest.mark.parametrize("asked, answer", NAMES)
def test_system_and_history_are_turns_before_the_question(asked: str, answer: str, access: Any, tmp_path: Path) -> None:
    bare = {asked: "<image>what ?", answer: "red", "system": "", "history": []}
    full = {**bare, "system": "Be brief.", "history": [["a", "b"]]}
    first, second = read(tmp_path, full, bare, access=access)
    assert spoken(first["prompt"]) == [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "#what ?")]
    assert spoken(second["prompt"]) == [("user", "#what ?")]
    assert spoken(first["completion"]) == [("assistant", "red")]
    assert not {asked, answer, "system", "history"} & set(first)


def test_the_input_follows_its_instruction_in_a_line_of_its_own(tmp_path: Path) -> None:
    row = {"instruction": "<image>what ?", "output": "red"}
    first, second = read(tmp_path, {**row, "input": "In English."}, {**row, "input": ""})
    assert spoken(first["prompt"]) == [("user", "#what ?\nIn English.")]
    assert spoken(second["prompt"]) == [("user", "#what ?")]


def test_the_records_of_a_picture_are_one_conversation(tmp_path: Path) -> None:
    texts = [{"user": asked, "assistant": said, "source": "x"} for asked, said in (("what ?", "red"), ("why ?", "so"))]
    first, second = read(tmp_path, {"texts": texts}, {"texts": texts[:1]})
    assert spoken(first["messages"]) == [
        ("user", "#what ?"), ("assistant", "red"), ("user", "why ?"), ("assistant", "so"),
    ]  # fmt: skip
    assert spoken(second["messages"]) == [("user", "#what ?"), ("assistant", "red")]


@pytest.mark.parametrize(
    "row, message",
    [
        ({"query": "what ?", "response": "red", "rejected_response": "blue"}, "found preferences .*sightline dpo"),
        ({"instruction": "what ?", "output": "red", "history": [["a"]]}, "row 1: expected history as pairs"),
        ({"instruction": "what ?", "output": "red", "kto_tag": False}, "answers labelled true or false in kto_tag"),
        ({"problem": "what ?", "solution": "B", "options": ["red", "blue"]}, "pick one of the options in options"),
        ({"query": ["what ?"], "response": "red"}, "row 1: expected a text in query"),
        ({"texts": [{"user": "what ?", "assistant": None}]}, "row 1: expected the text of a turn, got None"),
    ],
)
def test_rows_that_would_train_something_else_are_refused(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, row)
