"""Rows of which something would be lost are refused by their row; columns that no model sees are said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.formats.written import llava_row
from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError

ASKED = {"role": "user", "content": "what ?", "loss": False}
ANSWERED = {"role": "assistant", "content": "circle"}
SHOWN = {"role": "user", "content": "<image>what ?"}


def read(folder: Path, *rows: dict[str, Any], goal: Any = sft_rows) -> list[dict[str, Any]]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(goal(read_dataset(str(path)), "rows.jsonl").dataset)


@pytest.mark.parametrize("key, value", [("loss", False), ("weight", 0), ("train", False), ("training", 0.0)])
@pytest.mark.parametrize("column", ["messages", "conversations", "completion"])
def test_a_turn_that_is_not_to_be_trained_is_refused(column: str, key: str, value: Any, tmp_path: Path) -> None:
    turns = [{**ANSWERED, key: value}, ASKED, ANSWERED]
    row = {column: [ASKED, *turns]} if column != "completion" else {"prompt": [ASKED], column: turns}
    with pytest.raises(DataError, match=f"rows.jsonl row 2: a turn of the assistant says {key}: {value}, "):
        read(tmp_path, {**row, column: [ASKED, ANSWERED]}, row)


def test_turns_of_users_and_of_a_prompt_need_no_training(tmp_path: Path) -> None:
    asked = [ASKED, {**ANSWERED, "loss": False}, ASKED]
    assert len(read(tmp_path, {"messages": [ASKED, {**ANSWERED, "loss": True}]})) == 1
    assert len(read(tmp_path, {"prompt": asked, "completion": [ANSWERED]})) == 1
    row = {"messages": [*asked, ANSWERED], "rejected_response": "square"}
    assert len(read(tmp_path, row, goal=preference_rows)) == 1


def test_words_that_stand_for_boxes_are_refused(tmp_path: Path) -> None:
    found = {"role": "assistant", "content": "<bbox>"}
    boxes = {"ref": ["the disc"], "bbox": [[1, 2, 3, 4]]}
    with pytest.raises(DataError, match="row 1: expected boxes and their names as text, got <bbox>, for which the col"):
        read(tmp_path, {"messages": [ASKED, found], "objects": boxes})
    assert len(read(tmp_path, {"messages": [ASKED, ANSWERED], "objects": boxes})) == 1


@pytest.mark.parametrize(
    "lost, message",
    [
        ({"videos": ["a.mp4"]}, "got something in videos"),
        ({"messages": [ASKED, {**ANSWERED, "weight": 0}]}, "says weight: 0"),
    ],
)
def test_a_stream_refuses_them_when_they_come(lost: dict[str, Any], message: str) -> None:
    rows = [{"messages": [ASKED, {**ANSWERED, "weight": 1}], "videos": None} | lost]
    stream = datasets.Dataset.from_list(rows).to_iterable_dataset()
    with pytest.raises(DataError, match=f"rows row 1: .*{message}"):
        list(sft_rows(stream, "rows").dataset)


def test_what_a_turn_says_beside_its_content_reaches_the_template(tmp_path: Path) -> None:
    thought = {**ANSWERED, "reasoning_content": "It is round."}
    picture = {"images": ["data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="]}
    (one,) = read(tmp_path, {"messages": [SHOWN, thought], **picture})
    assert one["messages"][-1]["reasoning_content"] == "It is round."
    row = {"messages": [SHOWN], "chosen": thought, "rejected": {**thought, "reasoning_content": "Who knows."}}
    (pair,) = read(tmp_path, {**row, **picture}, goal=preference_rows)
    assert pair["rejected"][0]["reasoning_content"] == "Who knows."


@pytest.mark.parametrize(
    "row, said",
    [
        ({"question": "what ?", "answer": "circle", "hint": "It is round."}, "rows.jsonl: not read: hint. "),
        ({"messages": [ASKED, ANSWERED], "system": "Be brief."}, "rows.jsonl: not read: system. "),
        ({"conversations": [ASKED, ANSWERED], "system": "Be brief."}, ""),
        ({"question": "what ?", "answer": "circle", "hint": "", "id": 7}, ""),
    ],
)
def test_words_that_no_model_sees_are_said(
    row: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(tmp_path, row)
    err = capsys.readouterr().err
    assert said in err and ("not read" in err) == bool(said)


ALPACA = {"instruction": "what ?", "input": "", "output": "circle"}


@pytest.mark.parametrize(
    "row, kind, said",
    [
        ({**ALPACA, "text": "what ? circle"}, "TRL text", "text is trained, all of it, as TRL does; not read: instruc"),
        ({**ALPACA, "image": "a.png", "text": "<image> what ? circle"}, "TRL text", "text is trained, all of it, "),
        ({**ALPACA, "image": "a.png", "text": "what ? circle"}, "Alpaca", "rows.jsonl: not read: text. "),
        ({"question": "?", "answer": "a", "image": "a.png", "text": "b"}, "question and answer", "not read: text. "),
        ({"text": "what ? circle", "topic": "round"}, "TRL text", ""),
    ],
)
def test_a_text_beside_a_question_and_its_answer_is_told(
    row: dict[str, Any], kind: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assert sft_rows(read_dataset(tmp_path / "rows.jsonl"), "rows.jsonl").format.name == kind
    err = capsys.readouterr().err
    assert said in err and ("not read" in err) == bool(said)


def test_a_question_and_its_answers_come_with_their_system_message_and_history(tmp_path: Path) -> None:
    row = {
        "question": "what ?",
        "chosen": "circle",
        "rejected": "square",
        "system": "Be brief.",
        "history": [["a", "b"]],
    }
    (one,) = read(tmp_path, row, goal=preference_rows)
    assert [message["content"] for message in one["prompt"]] == ["Be brief.", "a", "b", "what ?"]


def test_a_thought_has_no_place_in_llavas_rows() -> None:
    row = {"messages": [ASKED, {**ANSWERED, "reasoning_content": "It is round."}]}
    with pytest.raises(DataError, match="row 1: .*got user, assistant and reasoning_content"):
        list(llava_row(row, "row 1"))
