"""A file that is cut or broken is refused by its name: it never gives fewer rows than it was written with."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from datasets import Dataset

from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.data.sources.folders import ARROW_END
from sightline.data.sources.shards import read_shards
from sightline.data.vilt.sources import read_arrow
from sightline.errors import DataError

ROWS = [{"question": f"what {i} ?", "answer": f'réd, {i} "x"\nline'} for i in range(6)]
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def tar_of(samples: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(samples):
            for ending, content in (("txt", b"red"), ("json", json.dumps({"a": "x" * 200 * number}).encode())):
                info = tarfile.TarInfo(f"{number}.{ending}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def rows_where_not_refused(path: Path, contents: Iterable[bytes], read: Callable[[], Iterable[Any]]) -> list[list[Any]]:
    """What is read of each content that is not refused by the file's name."""
    read_rows = []
    for content in contents:
        path.write_bytes(content)
        try:
            read_rows.append(list(read()))
        except DataError as error:
            assert path.name in str(error) or path.parent.name in str(error)
    return read_rows


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_tar_shard_that_is_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    """But within the filling behind its two blocks of zeros, of which nothing is read."""
    path, whole = tmp_path / "a.tar", COMPRESSIONS[kind](tar_of(4))
    path.write_bytes(whole)
    rows = list(read_shards([str(path)]))
    assert len(rows) == 4
    cuts = range(0, len(whole), 1 if len(whole) < 1000 else 53)
    read = rows_where_not_refused(path, (whole[:cut] for cut in cuts), lambda: read_shards([str(path)]))
    assert all(found == rows for found in read)
    if kind != "tar":
        assert read == [], "a compressed file tells at its very end whether it is whole"
    content_end = len(tar_of(4).rstrip(b"\0")) if kind == "tar" else 0
    assert len(read) <= (len(whole) - content_end) / 53


def test_a_tar_shard_with_a_changed_byte_is_refused_or_has_all_rows(tmp_path: Path) -> None:
    path, draw = tmp_path / "a.tar", random.Random(0)
    for kind in COMPRESSIONS.values():
        whole, changed = kind(tar_of(4)), []
        for _ in range(100):
            content = bytearray(whole)
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            changed.append(bytes(content))
        read = rows_where_not_refused(path, changed, lambda: read_shards([str(path)]))
        assert all(len(rows) >= 4 for rows in read)


def test_tar_shards_put_one_behind_another_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(2) + tar_of(2))
    with pytest.raises(DataError, match="a.tar: expected a whole tar file .* it goes on after its end"):
        list(read_shards([str(tmp_path / "a.tar")]))


@pytest.mark.parametrize("cut", [512, 700, 1600, 2048, 3 * 512 + 200])
def test_a_cut_shard_is_named_however_it_is_read(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "train-0.tar"
    path.write_bytes(tar_of(4)[:cut])
    for read in (lambda: read_dataset(path), lambda: read_dataset(tmp_path), lambda: list(stream_dataset(path))):
        with pytest.raises(DataError, match="train-0.tar: expected a whole tar file of samples"):
            read()


@pytest.mark.parametrize("read", [read_dataset, stream_dataset])
def test_cut_parquet_is_refused(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    path = tmp_path / "a.parquet"
    Dataset.from_list(ROWS).to_parquet(path)
    whole = path.read_bytes()
    assert list(read(path)) == ROWS
    cuts = range(0, len(whole), len(whole) // 40)
    assert rows_where_not_refused(path, (whole[:cut] for cut in cuts), lambda: read(path)) == []


@pytest.mark.parametrize("read", [read_dataset, stream_dataset])
def test_cut_jsonl_is_refused_but_between_two_rows(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    path = tmp_path / "a.jsonl"
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
    kept = rows_where_not_refused(path, (whole[:cut] for cut in range(len(whole))), lambda: read(path))
    assert all(rows == ROWS[: len(rows)] for rows in kept) and len(kept) == 2 * len(ROWS) - 1


def test_a_csv_that_ends_inside_of_a_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    Dataset.from_list(ROWS).to_csv(path, index=False)
    whole = path.read_text(encoding="utf-8")
    assert list(read_dataset(path)) == ROWS
    for cut, said in (
        (whole.rindex("what 5") + 3, "a.csv row 6: the file ends in the middle of it: fewer values than the header"),
        (whole.rindex("line") + 2, "a.csv row 6: the file ends in the middle of it: its quotes are not closed"),
    ):
        path.write_text(whole[:cut], encoding="utf-8")
        with pytest.raises(DataError, match=said):
            read_dataset(path)
    path.write_text('q,a\nhow many 5" ?,two\n', encoding="utf-8")
    assert read_dataset(path)["q"][:] == ['how many 5" ?'], "a mark inside of a value closes nothing"


def test_a_saved_dataset_with_a_cut_part_is_refused(tmp_path: Path) -> None:
    rows = [{"question": str(number)} for number in range(2500)]
    Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    part = tmp_path / "saved" / "data-00000-of-00001.arrow"
    whole = part.read_bytes()
    ends = [*range(0, len(whole), len(whole) // 60), *batch_ends(whole)]
    contents = (whole[:end] for end in ends if end < len(whole))
    assert rows_where_not_refused(part, contents, lambda: read_dataset(tmp_path / "saved")) == []
    part.write_bytes(whole)
    assert len(read_dataset(tmp_path / "saved")) == 2500
    (tmp_path / "saved" / "state.json").write_text('{"_data_files": [')
    with pytest.raises(DataError, match="saved is no whole dataset of save_to_disk"):
        read_dataset(tmp_path / "saved")


def batch_ends(stream: bytes) -> list[int]:
    """Where the batches of an Arrow stream end."""
    source = pyarrow.BufferReader(stream)
    ends = []
    reader = pyarrow.ipc.open_stream(source)
    for _ in reader:
        ends.append(source.tell())
    return ends


def test_an_arrow_stream_of_vilts_authors_that_is_cut_between_two_batches_is_refused(tmp_path: Path) -> None:
    path, table = tmp_path / "a.arrow", pyarrow.table({"a": list(range(30))})
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
        for start in range(0, 30, 10):
            writer.write_batch(table.slice(start, 10).to_batches()[0])
    whole = path.read_bytes()
    assert len(list(read_arrow(path))) == 30 and whole.endswith(ARROW_END)
    assert rows_where_not_refused(path, (whole[:cut] for cut in range(len(whole))), lambda: read_arrow(path)) == []
