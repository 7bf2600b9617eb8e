"""Columns are known by their names but for spaces and capitals, in every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.data.formats.registry import FORMATS
from sightline.data.sources.column_names import KNOWN, known_names
from sightline.data.sources.datasets import read_dataset, stream_dataset


@pytest.mark.parametrize("header", ["question, answer", " Question,Answer", "QUESTION ,aNSWER"])
def test_headers_of_tables_are_read_without_spaces_and_capitals(header: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"{header}\nwhat?, red\n")
    assert list(read_dataset(tmp_path / "r.csv")) == [{"question": "what?", "answer": " red"}]


def test_keys_of_objects_are_read_without_capitals_in_streams_too(tmp_path: Path) -> None:
    row = {"Question": "what?", "Answer": "red", "Mine": "kept"}
    (tmp_path / "r.jsonl").write_text(json.dumps(row) + "\n")
    for read in (read_dataset, stream_dataset):
        assert list(read(tmp_path / "r.jsonl")) == [{"question": "what?", "answer": "red", "Mine": "kept"}]


def test_an_exact_name_is_the_one_that_is_meant() -> None:
    assert known_names(["Question", "question", "Answer"]) == {"Answer": "answer"}
    assert known_names(["Answer", "ANSWER"]) == {}


def test_every_column_of_a_format_is_known() -> None:
    named = {column for one in FORMATS for column in (*one.columns, *one.optional)}
    assert named <= KNOWN
