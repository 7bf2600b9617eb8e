"""Rows are the same packed or not, under any case of a suffix, in each encoding with a mark; others are named."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError

ROW = {"question": "what?", "answer": "Größe"}
TEXTS = {
    ".jsonl": json.dumps(ROW, ensure_ascii=False) + "\n",
    ".json": json.dumps([ROW], ensure_ascii=False),
    ".csv": "question,answer\nwhat?,Größe\n",
    ".tsv": "question\tanswer\nwhat?\tGröße\n",
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pyarrow.Codec("zstd").compress(content, asbytes=True),
}


def rows(path: Path) -> list[dict[str, Any]]:
    return list(read_dataset(path))


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("kind", TEXTS)
def test_packed_rows_are_rows(kind: str, packing: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{kind}{packing}"
    path.write_bytes(PACKERS[packing](TEXTS[kind].encode()))
    assert rows(path) == [ROW]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"rows{kind}{packing} "):
        rows(path)


def test_a_small_packed_file_does_not_become_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.data.sources.bounds.FREE_BYTES", 2**16)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(TEXTS[".jsonl"].encode() * 20_000))
    with pytest.raises(DataError, match=r"rows.jsonl.gz: expected at most .* GiB"):
        rows(path)


@pytest.mark.parametrize("name", ["r.ndjson", "r.JSONL", "r.jsonl", "r.Jsonl.GZ"])
def test_a_name_in_any_case_says_what_it_holds(name: str, tmp_path: Path) -> None:
    content = TEXTS[".jsonl"].encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    assert rows(tmp_path / name) == [ROW] == list(stream_dataset(tmp_path / name))


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("read", [read_dataset, stream_dataset])
def test_a_list_of_rows_is_read_under_the_name_of_lines(read: Any, indent: int | None, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(json.dumps([ROW, ROW], indent=indent))
    assert list(read(tmp_path / "r.jsonl")) == [ROW, ROW]


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_the_mark_at_the_start_names_the_encoding(encoding: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / f"r{kind}").write_bytes(TEXTS[kind].encode(encoding))
    assert rows(tmp_path / f"r{kind}") == [ROW]


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("latin-1", r"line \d has the byte 0xF6 after '.*Gr'.* iconv -f WINDOWS-1252 -t UTF-8 'my rows\."),
        ("utf-16-le", r"zero bytes as UTF-16LE without its mark has them\. .* iconv -f UTF-16LE -t UTF-8 'my rows\."),
        ("utf-16-be", r"zero bytes as UTF-16BE without its mark has them\. .* iconv -f UTF-16BE -t UTF-8 'my rows\."),
    ],
)
def test_another_encoding_is_told_with_what_converts_it(encoding: str, said: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / f"my rows{kind}").write_bytes(TEXTS[kind].encode(encoding))
    with pytest.raises(DataError, match=said):
        rows(tmp_path / f"my rows{kind}")


def test_the_line_of_a_letter_in_another_encoding_is_counted(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b'{"question": "q"}\n\n' + TEXTS[".jsonl"].encode("cp1252"))
    with pytest.raises(DataError, match=r"r.jsonl is not encoded in UTF-8: line 3 has the byte 0xF6"):
        rows(tmp_path / "r.jsonl")


@pytest.mark.parametrize("text", ['[\n{"question": "q"},\n', '{\n"question": "q"\n}\n'])
def test_json_over_lines_that_is_no_list_of_rows_is_told_what_to_be(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"r.jsonl line 1: no valid JSON .* one whole list of objects"):
        rows(tmp_path / "r.jsonl")
