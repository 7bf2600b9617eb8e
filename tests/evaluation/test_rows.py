"""VQA rows are read from every accepted spelling of the columns; bad ones are named with file and row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError
from sightline.evaluation.rows import DatasetRows, read_vqa_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    return tmp_path


def rows_of(folder: Path, rows: list[dict[str, Any]], limit: int | None = None) -> DatasetRows:
    path = folder / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_vqa_rows(read_dataset(path), path, limit)


def row(**columns: Any) -> dict[str, Any]:
    return {"image": "a.png", "question": "what?", "answer": "red", **columns}


def test_each_spelling_of_the_answers_is_read(folder: Path) -> None:
    rows = rows_of(
        folder,
        [
            {"question": "q", "answers": ["red", "Red", "red"]},
            {"question": "q", "answers": [{"answer": "red", "answer_id": 1}, {"answer": "blue", "answer_id": 2}]},
            {"question": "q", "answer": 2},
            {"question": "q", "answer": "two"},
        ],
    )
    assert [row.answers for row in rows] == [("red", "Red"), ("red", "blue"), ("2",), ("two",)]


@pytest.mark.parametrize("column", ["kind", "question_type", "answer_type"])
def test_each_spelling_of_the_kind_is_read(column: str, folder: Path) -> None:
    assert rows_of(folder, [row(**{column: "count"})])[0].kind == "count"


def test_pictures_are_keyed_by_content_and_opened_on_access(folder: Path) -> None:
    rows = rows_of(folder, [row(), row(image="b.png"), row(image="c.png"), row(image=None)])
    assert rows[0].image_key == rows[2].image_key != rows[1].image_key
    assert rows[1].image is not None and rows[1].image.getpixel((0, 0)) == (0, 0, 255)
    assert rows[3].image is None and rows[3].image_key == ""
    assert [row.name for row in rows[1:3]] == ["test.jsonl row 2", "test.jsonl row 3"]


def test_a_list_of_one_picture_is_a_picture(folder: Path) -> None:
    rows = rows_of(folder, [{"images": ["b.png"], "question": "q", "answer": "a"}])
    assert rows[0].image is not None
    with pytest.raises(DataError, match="test.jsonl row 1: 2 images, but a VQA row takes one"):
        rows_of(folder, [{"images": ["a.png", "b.png"], "question": "q", "answer": "a"}])


def test_a_limit_takes_the_first_rows(folder: Path) -> None:
    assert len(rows_of(folder, [row()] * 5, limit=2)) == 2
    assert len(rows_of(folder, [row()] * 5, limit=9)) == 5


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(answer="  "), "test.jsonl row 2: the answer is empty"),
        (row(answer=None), "test.jsonl row 2: the answer is empty"),
        (row(question=""), "test.jsonl row 2: the question is empty"),
        (row(image="broken.png"), "test.jsonl row 2: image '.*broken.png' is no picture"),
        (row(id="one"), "test.jsonl row 2: the id 'one' was used by test.jsonl row 1 already"),
    ],
)
def test_a_bad_row_is_named(bad: dict[str, Any], message: str, folder: Path) -> None:
    (folder / "broken.png").write_text("no picture")
    with pytest.raises(DataError, match=message):
        rows_of(folder, [row(id="one"), bad])


def test_other_columns_are_refused_with_what_was_found(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"expected the columns question and answer .* found queston, answer. Did you mean 'q"
    ):
        rows_of(folder, [{"queston": "q", "answer": "a"}])


def test_hub_like_rows_with_embedded_bytes_are_read(folder: Path) -> None:
    from datasets import Dataset, Features, Image as ImageFeature, Value

    features = Features({"image": ImageFeature(), "question": Value("string"), "answer": Value("string")})
    content = (folder / "b.png").read_bytes()
    table = Dataset.from_list(
        [{"image": {"path": None, "bytes": content}, "question": "q", "answer": "a"}] * 2, features=features
    )
    rows = read_vqa_rows(table, "owner/name")
    assert rows[1].image is not None and rows[0].image_key == rows[1].image_key
    assert rows[1].name == "owner/name row 2"
