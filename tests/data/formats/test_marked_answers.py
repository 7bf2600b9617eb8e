"""Answers that hold a mark for a picture, and calls of tools beside marks, are refused by what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli.main import run
from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError

CALL = {"type": "function", "function": {"name": "zoom", "arguments": {"by": 2}}}
ASKED = {"role": "user", "content": "<image>what ?"}
MARKED_TURN = {"role": "assistant", "content": "<image> red"}
LLAVA = [{"from": "human", "value": "what ?"}, {"from": "gpt", "value": "<image>\nred"}]


def written(folder: Path, row: dict[str, Any]) -> Path:
    Image.new("RGB", (4, 4), "red").save(folder / "red.png")
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"images": ["red.png"], **row}) + "\n")
    return path


MARKED: list[tuple[dict[str, Any], str]] = [
    ({"question": "what ?", "answer": "<image> red"}, "answer"),
    ({"question": "<image>what ?", "answers": ["<image> red"]}, "answer"),
    ({"caption": "red [IMG]"}, "answer"),
    ({"prompt": "<image>what ?", "completion": "<image> red"}, "answer"),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]},
                   {"role": "assistant", "content": [{"type": "text", "text": "<image> red"}]}]}, "answer"),
    ({"conversations": LLAVA}, "answer"),
    ({"messages": [{"role": "user", "content": "what ?"}, MARKED_TURN]}, "answer"),
    ({"texts": [{"user": "what ?", "assistant": "red <image>"}]}, "answer"),
    ({"question": "why ?", "answer": "red", "history": [["what ?", "<image> red"]]}, "answer"),
    ({"prompt": [ASKED, MARKED_TURN, {"role": "user", "content": "why ?"}],
      "completion": [{"role": "assistant", "content": "red"}]}, "answer"),
    ({"conversations": LLAVA, "rejected_conversations": [LLAVA[0], {"from": "gpt", "value": "blue"}]}, "answer"),
    ({"chosen": [ASKED, {"role": "assistant", "content": "red"}], "rejected": [ASKED, MARKED_TURN]}, "answer"),
    ({"question": "what ?", "chosen": "<image> red", "rejected": "blue"}, "chosen answer"),
    ({"prompt": "what ?", "chosen": "red", "rejected": ["blue", "<image> red"]}, "rejected answer"),
]  # fmt: skip


@pytest.mark.parametrize("read", [read_dataset, stream_dataset], ids=["table", "stream"])
@pytest.mark.parametrize("row, which", MARKED, ids=[" ".join(row) for row, _ in MARKED])
def test_a_mark_in_an_answer_is_said_to_be_there(row: dict[str, Any], which: str, read: Any, tmp_path: Path) -> None:
    preferred = {"chosen", "rejected", "rejected_conversations"} & {*row}
    take = preference_rows if preferred else sft_rows
    with pytest.raises(DataError, match=f"rows.jsonl row 1: expected words alone in the {which}, got a mark"):
        list(take(read(written(tmp_path, row)), "rows.jsonl").dataset)


def test_a_mark_in_an_answer_is_not_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path, MARKED[0][0])
    assert run(["data", "convert", str(source), str(tmp_path / "out" / "new.jsonl"), "--to", "trl-sft"]) == 2
    assert "row 1: expected words alone in the answer" in capsys.readouterr().err


def test_an_answer_may_refer_to_a_picture_by_its_number(tmp_path: Path) -> None:
    row = {"question": "<image 1> what ?", "answer": "<image 1> is red"}
    (one,) = sft_rows(read_dataset(written(tmp_path, row)), "rows.jsonl").dataset
    assert one["completion"][0]["content"] == "<image 1> is red"
    talk = {"conversations": [LLAVA[0], {"from": "gpt", "value": "<image 1> is red"}]}
    (one,) = sft_rows(read_dataset(written(tmp_path, talk)), "rows.jsonl").dataset
    assert [[part["type"] for part in turn["content"]] for turn in one["messages"]] == [["image", "text"], ["text"]]


@pytest.mark.parametrize(
    "turns, got",
    [
        ({"conversations": [{"from": "human", "value": "<image>what ?"}, {"from": "function_call", "value": "zoom"}]},
         "a turn of function_call"),
        ({"conversations": [{"from": "human", "value": "<image>what ?"}, {"from": "observation", "value": "red"}]},
         "a turn of observation"),
        ({"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
         "tool_calls without content"),
    ],
)  # fmt: skip
def test_calls_of_tools_beside_marks_are_said_to_be_such(turns: dict[str, Any], got: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"row 1: calls of tools .*, got {got}. Write the row as TRL's messages"):
        sft_rows(read_dataset(written(tmp_path, turns)), "rows.jsonl")


def test_calls_of_tools_are_read_in_trls_messages(tmp_path: Path) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "what ?"}]
    call = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    said = [{"role": "user", "content": parts}, call, {"role": "tool", "content": "red"}]
    row = {"messages": [*said, {"role": "assistant", "content": "red"}]}
    (one,) = sft_rows(read_dataset(written(tmp_path, row)), "rows.jsonl").dataset
    assert [message["role"] for message in one["messages"]] == ["user", "assistant", "tool", "assistant"]
