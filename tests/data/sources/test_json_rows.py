"""Lines and records that are no rows are listed together, or left out, counted and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError
from tests.tiny import picture

ROW = {"question": "what ?", "answer": "red"}
SKIP = PictureAccess(skip_bad_rows=True)
GOOD = {"filename": "a.png", "sentences": [{"raw": "a dog"}]}
QUESTION = {"question_id": 1, "image_id": 2, "question": "what ?"}


def test_bad_lines_are_listed_together_or_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    good = json.dumps(ROW)
    path.write_text("\n".join([good, "{", "[1]", good, '{"question": NaN', good]) + "\n")
    with pytest.raises(DataError) as caught:
        read_dataset(path)
    starts = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert starts == ["rows.jsonl line 2", "rows.jsonl line 3", "rows.jsonl line 5"]
    assert "--skip_bad_rows" in str(caught.value)
    assert read_dataset(path, pictures=SKIP).to_list() == [ROW] * 3
    assert "rows.jsonl: 3 of 6 rows cannot be used and are left out" in capsys.readouterr().err
    with pytest.raises(DataError, match="rows.jsonl line 2"):
        list(stream_dataset(path))
    assert [dict(row) for row in stream_dataset(path, pictures=SKIP)] == [ROW] * 3


def test_of_many_bad_lines_the_first_ten_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{\n" * 25)
    for access in (PictureAccess(), SKIP):
        with pytest.raises(DataError, match=r"(?s)line 1: .*line 10: .*\.\.\. and 15 more rows") as caught:
            read_dataset(path, pictures=access)
        assert "line 11" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "bad"),
    [
        ("rows.json", [ROW, None, 7, ROW], ["rows.json row 2", "rows.json row 3"]),
        ("karpathy.json", {"images": [GOOD, 7, GOOD]}, ["karpathy.json image 2"]),
        (
            "captions.json",
            {
                "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}, {"file_name": 7}],
                "annotations": [{"image_id": number, "caption": said} for number, said in ((1, "a"), (2, "b"), (1, 7))],
            },
            ["captions.json annotation 3", "captions.json image 3"],
        ),
        (
            "OpenEnded_questions.json",
            {"questions": [QUESTION, {**QUESTION, "question": 7}, {**QUESTION, "question_id": 9}, QUESTION]},
            ["OpenEnded_questions.json question 2", "OpenEnded_questions.json question 3"],
        ),
    ],
)  # fmt: skip
def test_bad_records_are_listed_together_or_left_out(name: str, content: Any, bad: list[str], tmp_path: Path) -> None:
    for file in ("a.png", "COCO_train2014_000000000002.jpg"):
        picture(0).save(tmp_path / file)
    answers = {"question_id": 1, "multiple_choice_answer": "red", "answers": [{"answer": "red"}]}
    (tmp_path / "annotations.json").write_text(json.dumps({"annotations": [answers]}))
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path / name)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == bad
    assert len(read_dataset(tmp_path / name, pictures=SKIP)) == 2
