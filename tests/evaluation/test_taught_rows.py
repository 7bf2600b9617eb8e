"""Rows that training reads are rows to evaluate: the question before the last answer, and that answer as gold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from sightline.errors import DataError
from sightline.evaluation.items import Items
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task
from tests.tiny import picture


def items_of(folder: Path, *rows: dict[str, Any], name: str = "rows.json", **choice: Any) -> Items:
    for place in range(2):
        picture(place).save(folder / f"{place}.png")
    (folder / name).write_text(json.dumps(rows))
    return load_items(load_task("custom"), DataChoice(str(folder / name), **choice))


def llava(*said: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(said)]


@pytest.mark.parametrize(
    ("row", "question", "gold"),
    [
        ({"image": "0.png", "conversations": llava("<image>\nWhat?", "3")}, "What?", "3"),
        ({"image": "0.png", "prompt": "What?", "completion": "true"}, "What?", "true"),
        (
            {
                "image": "0.png",
                "messages": [
                    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
                    {"role": "assistant", "content": "007"},
                ],
            },
            "What?",
            "007",
        ),
        (
            {"image": "0.png", "conversations": llava("<image>\nWhat?", "A cat.", "Where?", "Here.")},
            "User: <image 1>What?\nAssistant: A cat.\nUser: Where?",
            "Here.",
        ),
    ],
)
def test_the_last_answer_of_a_row_is_gold(tmp_path: Path, row: dict[str, Any], question: str, gold: str) -> None:
    items = items_of(tmp_path, {"id": "a", **row})
    (item,) = items.items
    assert (item.question, item.answers, item.id, len(item.pictures)) == (question, (gold,), "a", 1)
    assert "the last answer of a row is the gold answer" in items.notes[0]
    assert ("1 of 1 rows have turns before the last question" in items.notes[0]) == question.startswith("User")


def test_pictures_stand_where_the_row_shows_them(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Is "}, {"type": "image"}, {"type": "text", "text": " like "}, {"type": "image"}]
    row = {"images": ["0.png", "1.png"], "prompt": [{"role": "user", "content": parts}], "completion": "no"}
    (item,) = items_of(tmp_path, row).items
    assert (item.question, len(item.pictures)) == ("Is <image 1> like <image 2>", 2)


def test_pictures_by_class_are_asked_for_their_class(tmp_path: Path) -> None:
    for place, name in enumerate(("big_dog", "cat")):
        (tmp_path / name).mkdir()
        picture(place).save(tmp_path / name / "0.png")
    items = load_items(load_task("custom"), DataChoice(str(tmp_path))).items
    assert [(item.question, item.answers) for item in items] == [
        ("What is shown in the image?", ("big dog",)),
        ("What is shown in the image?", ("cat",)),
    ]


def test_labels_of_a_saved_dataset_are_names(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "0.png")
    rows = datasets.Dataset.from_dict({"image": [{"bytes": None, "path": str(tmp_path / "0.png")}], "label": [1]})
    rows = rows.cast_column("image", datasets.Image()).cast_column("label", datasets.ClassLabel(names=["cat", "dog"]))
    rows.save_to_disk(str(tmp_path / "saved"))
    (item,) = load_items(load_task("custom"), DataChoice(str(tmp_path / "saved"))).items
    assert item.answers == ("dog",)


def test_pictures_of_another_folder_are_found_by_image_folder(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    picture(0).save(tmp_path / "far.png")
    row = {"image": "far.png", "conversations": llava("<image>\nWhat?", "A cat.")}
    (item,) = items_of(tmp_path / "rows", row, image_folder=tmp_path).items
    assert len(item.pictures) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [{"role": "user", "content": "What?"}]}, "row 1: expected a question and an answer at the end"),
        ({"image": "0.png", "caption": "A cat."}, "row 1: expected the column question"),
        ({"image": "0.png", "prompt": "What?", "chosen": "a", "rejected": "b"}, "row 1: expected the column question"),
        ({"image": "0.png", "prompt": "What?", "completion": ""}, "row 1: expected the gold answer"),
    ],
)
def test_rows_without_a_question_and_its_answer_are_refused(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        items_of(tmp_path, row)
