"""A text beside values of other types comes back as the text it was, however much it looks like JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.data.sources.row_files import dataset_of

TEXTS = ("007", "0", "3.10", "true", "null", "[1, 2]", '{"a": 1}', '"cat"', "cat", "1e5", "NaN", "")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("other", [7, True, ["a"], {"b": 2}])
def test_a_text_stays_a_text(text: str, other: Any) -> None:
    rows = [{"answer": text}, {"answer": other}, {"answer": None}]
    assert [row["answer"] for row in dataset_of(rows, Path("rows.jsonl"))] == [text, other, None]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stays_a_text_within_lists_and_records(text: str) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": text}]},
        {"role": "assistant", "content": text},
    ]
    rows = [{"messages": turns, "answers": [text, 1]}]
    (row,) = dataset_of(rows, Path("rows.jsonl"))
    assert [turn["content"] for turn in row["messages"]] == [[{"type": "text", "text": text}], text]
    assert row["answers"] == [text, 1]
