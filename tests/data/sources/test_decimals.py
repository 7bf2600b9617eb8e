"""Numbers of Parquet are the decimals that people wrote, whatever their precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import pytest

from sightline.data.formats import sft_rows
from sightline.data.sources.datasets import read_dataset, stream_dataset


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
