"""ViLT's questions: words without marks, and rows whose picture has another name refused by their columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sightline.data.vilt.questions import read_questions
from sightline.errors import DataError


def test_a_mark_is_no_word_of_the_question(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"image": "a.png", "question": "<image>\nwhat is red ?", "answer": "circle"}))
    assert read_questions(path)[0].question == "what is red ?"


def test_a_picture_of_another_name_is_refused_with_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"img": "a.png", "question": "what ?", "answer": "circle"}))
    with pytest.raises(DataError, match="rows.jsonl row 1: .* the row has img, question, answer. Rename the column"):
        read_questions(path)
