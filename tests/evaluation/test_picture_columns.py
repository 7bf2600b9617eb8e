"""Rows of your own are asked with their pictures, whatever names these and wherever the text marks them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli.main import run
from sightline.data.encoding.prompts import said_of
from sightline.errors import DataError
from sightline.evaluation.items import Items
from sightline.evaluation.requests import Asking, requests_of
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task

VQA = {"question": "what is red ?", "answer": "circle"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for colour in ("red", "green"):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{colour}.png")
    return tmp_path


def items_of(folder: Path, *rows: dict[str, Any], task: str = "custom") -> Items:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_items(load_task(task), DataChoice(str(path)))


def shown(items: Items) -> list[list[str]]:
    """What each question shows and says, in order; pictures by their colour."""
    requests = requests_of(load_task("custom"), items.items, Asking(), "")
    return [
        [
            part if isinstance(part, str) else "RED" if part.open().getpixel((0, 0)) == (255, 0, 0) else "GREEN"
            for part in said_of(request.question)[0].parts
        ]
        for request in requests
    ]


@pytest.mark.parametrize("column", ["img", "image_path", "picture", "photo"])
def test_a_picture_in_a_column_of_another_name_is_shown(column: str, folder: Path) -> None:
    assert shown(items_of(folder, {column: "red.png", **VQA})) == [["RED", "what is red ?"]]


@pytest.mark.parametrize("header", ["index\timg", "n\timage", "index\tpicture_path"])
def test_a_tsv_of_your_own_is_read_as_other_files_are(header: str, folder: Path) -> None:
    path = folder / "rows.tsv"
    path.write_text(f"{header}\tquestion\tanswer\n0\tred.png\twhat is red ?\tcircle\n")
    assert shown(load_items(load_task("custom"), DataChoice(str(path)))) == [["RED", "what is red ?"]]


def test_an_empty_images_hides_no_image(folder: Path) -> None:
    assert shown(items_of(folder, {"image": "red.png", "images": [], **VQA})) == [["RED", "what is red ?"]]


@pytest.mark.parametrize("marks", ["<image 1> or <image 2>", "<image_1> or <image_2>", "<image> or <image>"])
def test_numbered_columns_are_shown_where_the_text_marks_them(marks: str, folder: Path) -> None:
    row = {"image_1": "red.png", "image_2": "green.png", "question": f"{marks} ?", "answer": "no"}
    assert [[part.strip() for part in parts] for parts in shown(items_of(folder, row))] == [["RED", "or", "GREEN", "?"]]


def test_marks_in_options_count_on(folder: Path) -> None:
    row = {"images": ["red.png", "green.png"], "question": "which ?", "options": ["<image>", "<image>"], "answer": "A"}
    parts = shown(items_of(folder, row))[0]
    assert parts.index("RED") < parts.index("GREEN") and "<image" not in "".join(parts)


def test_the_mark_is_where_the_picture_goes(folder: Path) -> None:
    row = {"image": "red.png", "question": "<image>\nwhat is red ?", "answer": "circle"}
    assert shown(items_of(folder, row)) == [["RED", "what is red ?"]]


@pytest.mark.parametrize("question", ["<image>\nwhat ?", "<image 1> what ?", "<|image_1|> what ?"])
def test_a_question_that_shows_a_picture_which_is_not_there_is_refused(question: str, folder: Path) -> None:
    with pytest.raises(DataError, match=r"rows.jsonl row 1: 0 images, but the text has 1 mark"):
        items_of(folder, {"question": question, "answer": "a"})


def test_soft_answers_are_asked_of_any_column_too(folder: Path) -> None:
    items = items_of(folder, {"img": "red.png", "question": "<image>\nwhat ?", "answers": ["a"]}, task="soft_answers")
    assert items.items[0].question == "what ?" and len(items.items[0].pictures) == 1


def test_questions_without_any_picture_are_said_to_be_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"id": "1", **VQA, "prediction": "circle"}) + "\n")
    assert run(["eval", "--data", str(path), "--predictions", str(path)]) == 0
    assert f"custom: none of the 1 questions of {path} has a picture." in capsys.readouterr().err
