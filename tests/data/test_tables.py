"""A text beside values of other types comes back as the text it was, however much it looks like JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import pytest

from sightline.data.formats.columns import sft_rows
from sightline.data.sources.datasets import read_dataset, stream_dataset
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


@pytest.mark.parametrize("read", [read_dataset, stream_dataset])
@pytest.mark.parametrize("kind", [numpy.float16, numpy.float32, numpy.float64])
def test_numbers_are_the_shortest_decimals_of_their_precision(kind: Any, read: Any, tmp_path: Path) -> None:
    table = pyarrow.table({"answer": pyarrow.array(numpy.array([0.1, 3, 2.5], kind)), "question": ["q"] * 3})
    pyarrow.parquet.write_table(table, tmp_path / "r.parquet")
    rows = sft_rows(read(tmp_path / "r.parquet"), "r").dataset
    assert [row["completion"][0]["content"] for row in rows] == ["0.1", "3", "2.5"]


def test_gaps_and_lists_stay(tmp_path: Path) -> None:
    single = pyarrow.float32()
    columns = {
        "answers": pyarrow.array([[0.1, 0.2], None], pyarrow.list_(single)),
        "score": pyarrow.array([0.7, None], single),
        "vector": pyarrow.array([[0.1], [0.2]], pyarrow.list_(single)),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "r.parquet")
    dataset = read_dataset(tmp_path / "r.parquet")
    assert dataset.column_names == ["answers", "score", "vector"]
    assert dataset["answers"][:] == [[0.1, 0.2], None] and dataset["score"][:] == [0.7, None]
    assert dataset.features["vector"].feature.dtype == "float32", "long vectors are not widened"
