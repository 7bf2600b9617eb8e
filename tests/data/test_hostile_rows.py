"""Rows that nobody could store or read are named by file and line, in every format of text."""

from __future__ import annotations

import pytest

from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.data.vilt.captions import read_captions
from sightline.errors import DataError

CELLS = {
    "deep": ("[" * 50_000 + "]" * 50_000, "nested more than 100 deep"),
    "digits": ("9" * 6000, "thousands of digits"),
    "beyond 64 bits": ("9" * 30, "30 digits"),
    "a key twice": ('"a", "answer": "b"', "'answer' stands there twice"),
    "half an emoji": ('"\\ud83d"', "half of a surrogate pair"),
    "NULs": ("\0\0\0", "column"),
}
every_cell = pytest.mark.parametrize(("cell", "what"), CELLS.values(), ids=CELLS)


def rows(cell):
    return ['{"question": "what ?", "answer": "red"}', f'{{"question": "what ?", "answer": {cell}}}']


@every_cell
def test_a_line_that_cannot_be_read_is_named(cell, what, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(rows(cell)) + "\n")
    for read in (read_dataset, lambda place: list(stream_dataset(place)), read_captions):
        with pytest.raises(DataError, match=rf"r\.jsonl line 2: no valid JSON \(.*{what}"):
            read(path)


@every_cell
def test_a_json_file_that_cannot_be_read_is_named(cell, what, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(f"[{', '.join(rows(cell))}]")
    with pytest.raises(DataError, match=rf"r\.json.*: no valid JSON \(.*{what}"):
        read_dataset(path)
