"""Problems of rows are told from the first row on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.data.checks import check_rows
from sightline.data.formats import sft_rows
from sightline.data.sequences import EncodingSettings, SequenceEncoder
from sightline.data.sources import read_dataset
from sightline.errors import DataError
from tests.tiny import tiny_processor


def test_the_first_bad_pictures_are_named_and_not_the_last(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.png").write_text("no picture")
    path = tmp_path / "rows.jsonl"
    rows = [{"image": f"{number}.png", "question": "what ?", "answer": "a"} for number in range(7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = SequenceEncoder(tiny_processor(), EncodingSettings())
    with pytest.raises(DataError) as caught:
        check_rows(sft_rows(read_dataset(path), str(path)).dataset, str(path), encoder, preferences=False)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines[:5]] == [f"rows.jsonl row {number}" for number in range(1, 6)]
    assert lines[5] == "... and 2 more rows."
