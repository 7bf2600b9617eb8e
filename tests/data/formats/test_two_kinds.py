"""Preference rows as people publish them: text beside messages, whole conversations, ms-swift's and KTO's columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.sources.datasets import read_dataset
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
        {"prompt": "what ?", "chosen": "circle", "rejected": [*ASKED, *WRONG]},
        {"prompt": "what ?", "chosen": [*ASKED, *RIGHT], "rejected": "square"},
        {"prompt": "what ?", "chosen": [*ASKED, *RIGHT], "rejected": [*ASKED, *WRONG], "messages": [*ASKED, *RIGHT]},
        {"prompt": "what ?", "chosen": RIGHT[0], "rejected": WRONG[0]},
        {"prompt": ASKED, "chosen": ["circle"], "rejected": "square"},
        {"prompt": json.dumps(ASKED), "chosen": json.dumps(RIGHT), "rejected": json.dumps(WRONG)},
        {"question": "what ?", "chosen": RIGHT, "rejected": WRONG},
        {"question": ASKED, "chosen": "circle", "rejected": "square"},
        {"question": "what ?", "chosen_response": "circle", "rejected_response": "square"},
        {"prompt": "what ?", "chosen_response": "circle", "rejected_response": "square"},
        {"query": "what ?", "response": "circle", "rejected_response": "square"},
        {"instruction": "what ?", "input": "", "chosen": "circle", "rejected": "square"},
    ],
)
def test_rows_of_two_kinds_become_messages(row: dict[str, Any], tmp_path: Path) -> None:
    (one,) = read(tmp_path, row)
    assert (one["prompt"], one["chosen"], one["rejected"]) == (ASKED, RIGHT, WRONG)


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": "\n\nHuman: what ?\n\nAssistant: circle", "rejected": "\n\nHuman: what ?\n\nAssistant: square"},
        {"chosen": [{"from": "human", "value": "what ?"}, {"from": "gpt", "value": "circle"}],
         "rejected": [{"from": "human", "value": "what ?"}, {"from": "gpt", "value": "square"}]},
        {"conversations": [{"from": "human", "value": "what ?"}], "chosen": "circle", "rejected": "square"},
        {"messages": ASKED, "chosen": RIGHT[0], "rejected": WRONG[0]},
        {"messages": ASKED, "chosen": RIGHT, "rejected": WRONG},
        {"prompt": "what ?", "completions": [{"response": "circle", "score": 5}, {"response": "square", "score": 1}]},
    ],
)  # fmt: skip
def test_published_shapes_are_a_question_and_two_answers(row: dict[str, Any], tmp_path: Path) -> None:
    (one,) = read(tmp_path, row)
    assert [words(one[column]) for column in ("prompt", "chosen", "rejected")] == ["what ?", "circle", "square"]


def words(messages: list[dict[str, Any]]) -> str:
    contents = [message["content"] for message in messages]
    parts = [part for content in contents for part in (content if isinstance(content, list) else [{"text": content}])]
    return "".join(part["text"] for part in parts if part.get("text"))


def test_every_rejected_response_of_a_list_is_held_against_the_answer(tmp_path: Path) -> None:
    (one,) = read(tmp_path, {"messages": [*ASKED, *RIGHT], "rejected_response": ["square", 3]})
    assert list(map(words, one["rejected"])) == ["square", "3"]


def test_numbers_beside_texts_stay_texts_without_a_template(tmp_path: Path) -> None:
    (one,) = read(tmp_path, {"prompt": "how many ?", "chosen": 3, "rejected": 4})
    assert (one["prompt"], one["chosen"], one["rejected"]) == ("how many ?", "3", "4")


def test_a_conversation_behind_the_first_hundred_rows_is_seen(tmp_path: Path) -> None:
    answers = {"prompt": ASKED, "chosen": RIGHT, "rejected": WRONG}
    late = {"prompt": ASKED, "chosen": [*ASKED, *RIGHT], "rejected": [*ASKED, *WRONG]}
    assert read(tmp_path, *[answers] * 101, late)[-1]["chosen"] == RIGHT


def test_a_prompt_that_the_conversations_do_not_ask_is_refused(tmp_path: Path) -> None:
    row = {"prompt": "who ?", "chosen": [*ASKED, *RIGHT], "rejected": [*ASKED, *WRONG]}
    with pytest.raises(DataError, match="row 1: .*got the prompt 'who \\?' beside ones that begin with 'what \\?'"):
        read(tmp_path, row)


def test_the_same_answer_is_held_against_other_pictures(tmp_path: Path) -> None:
    (one,) = read(tmp_path, {"messages": [*ASKED, *RIGHT], "rejected_images": ["red.png"]})
    assert words(one["chosen"]) == words(one["rejected"]) == "circle" and len(one["rejected_images"]) == 1


def test_the_question_of_a_pair_alone_is_no_demonstration(tmp_path: Path) -> None:
    for row in ({"messages": ASKED}, {"conversations": [{"from": "human", "value": "what ?"}]}):
        with pytest.raises(DataError, match="found preferences"):
            read(tmp_path, {**row, "chosen": "circle", "rejected": "square"}, goal=sft_rows)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "what ?", "completion": RIGHT},
        {"prompt": ASKED, "completion": "circle"},
        {"prompt": ASKED[0], "completion": RIGHT[0]},
    ],
)
def test_demonstrations_of_two_kinds_become_messages(row: dict[str, Any], tmp_path: Path) -> None:
    (one,) = read(tmp_path, row, goal=sft_rows)
    assert (one["prompt"], one["completion"]) == (ASKED, RIGHT)


@pytest.mark.parametrize("column", ["video", "videos", "audios"])
def test_videos_are_refused_by_their_row(column: str, tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "<video>what ?"}, *RIGHT], column: ["a.mp4"]}
    with pytest.raises(DataError, match=f"rows.jsonl row 1: .*got something in {column}"):
        read(tmp_path, row, goal=sft_rows)


def test_trls_own_columns_stand_beside_one_another_as_in_a_mixture(tmp_path: Path) -> None:
    talk = {"messages": [*ASKED, *RIGHT]}
    pair = {"prompt": ASKED, "completion": RIGHT}
    found = read(tmp_path, talk, pair, goal=sft_rows)
    assert [row["messages"] is None for row in found] == [False, True]
    assert [row["completion"] is None for row in found] == [True, False]


def test_a_row_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2: expected TRL messages .* got question, answer"):
        read(tmp_path, {"messages": [*ASKED, *RIGHT]}, {"question": "what ?", "answer": "circle"}, goal=sft_rows)


@pytest.mark.parametrize(("right", "wrong"), [(1, 0), ("True", "False"), ("true", "false"), (1.0, 0.0)])
def test_labels_may_be_numbers_or_words(right: Any, wrong: Any, tmp_path: Path) -> None:
    row = {"prompt": ASKED, "completion": RIGHT}
    with pytest.raises(DataError, match=r"labelled true or false in label \(KTO's"):
        read(tmp_path, {**row, "label": right}, {**row, "label": wrong}, goal=sft_rows)


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
