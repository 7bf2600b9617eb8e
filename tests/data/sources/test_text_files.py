"""Rows are the same packed or not, under any case of a suffix, in each encoding with a mark; others are named."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, Image
from datasets.table import MemoryMappedTable

from sightline.cli.main import run
from sightline.data.sources import kept_rows, text_files
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError, MachineError
from sightline.evaluation.prediction_files import read_records
from tests.tiny import picture

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
    monkeypatch.setattr("sightline.data.sources.text_files.FREE_BYTES", 2**16)
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


MIB = 2**20


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of 4 MiB for a file and 2 for a value, so that a test writes no gigabytes."""
    monkeypatch.setattr(text_files, "FREE_BYTES", 4 * MIB)
    monkeypatch.setattr(text_files, "VALUE_BYTES", 2 * MIB)


def refused(path: Path, read: Callable[[Path], Any]) -> str:
    with pytest.raises(DataError) as caught:
        list(read(path))
    said = str(caught.value)
    assert path.name in said and "MiB" in said and len(said.splitlines()) == 1 and len(said) < 500
    return said


def tar_of(sizes: list[int]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(f"{number}.txt")
            member.size = size
            archive.addfile(member, io.BytesIO(b" " * size))
    return buffer.getvalue()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("read", [read_dataset, stream_dataset])
def test_a_packed_shard_that_unpacks_to_much_more(
    pack: Callable[[bytes], bytes], read: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "train.tar"
    path.write_bytes(pack(tar_of([MIB] * 20)))
    assert "expected at most 0.0 GiB from a file of 0.0 MiB (1 GiB, or 100 times its size), got more" in refused(
        path, read
    )
    path.write_bytes(pack(tar_of([MIB] * 3)))
    assert len(list(read(path))) == 3


@pytest.mark.usefixtures("small")
def test_a_member_of_a_shard_that_is_larger_than_any_picture(tmp_path: Path) -> None:
    path = tmp_path / "train.tar"
    path.write_bytes(tar_of([3 * MIB]))
    assert "member 0.txt: expected a file of at most 2 MiB, got 3 MiB" in refused(path, read_dataset)


@pytest.mark.usefixtures("small")
def test_sparse_members_count_as_what_they_would_become(tmp_path: Path) -> None:
    """Old GNU headers: one block of content, 60 MiB by the header."""
    path = tmp_path / "train.tar"
    member = tarfile.TarInfo("0.txt")
    member.size = 512
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % (60 * MIB)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + b"x" * 512 + bytes(1024))
    assert "expected a file of at most 2 MiB, got 60 MiB" in refused(path, read_dataset)


def nulls(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"question": pyarrow.nulls(10**7, pyarrow.string())}), path)


def repeated(path: Path) -> None:
    column = pyarrow.array(["x" * 10_000] * 3000)
    pyarrow.parquet.write_table(pyarrow.table({"question": column, "answer": column}), path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("write", [nulls, repeated])
def test_a_parquet_file_of_repeats(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write(path)
    assert path.stat().st_size < 60_000
    for read in (read_dataset, read_records):
        assert "got more" in refused(path, read)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"])
def test_a_sheet_that_unpacks_to_more_than_memory_should_hold(part: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.xlsx"
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name in ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"):
            filling = " " * 3 * MIB if name == part else ""
            book.writestr(name, f"<sst {main}>{filling}</sst>")
    assert f"part {part}: expected a sheet of at most 2 MiB, got 3 MiB" in refused(path, read_records)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_a_line_without_an_end(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("a\n" if suffix != ".jsonl" else '{"a": 1}\n')
    with path.open("a") as file:
        file.write("1" * 3 * MIB)
    for read in (read_dataset, read_records):
        assert "line 2: expected a line of at most 2 MiB" in refused(path, read)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zst", "zip"])
def test_packed_rows_in_a_folder(suffix: str, tmp_path: Path) -> None:
    path, rows = tmp_path / f"train.jsonl.{suffix}", b'{"question": "a", "answer": "b"}\n' * 150_000
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("train.jsonl", rows)
    else:
        packers: dict[str, Callable[[bytes], bytes]] = {
            "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": pyarrow.Codec("zstd").compress,
        }  # fmt: skip
        path.write_bytes(packers[suffix](rows))
    assert "got more" in refused(path, lambda path: read_dataset(path.parent))


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_long_cells_of_a_table_are_read(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, size = tmp_path / f"rows{suffix}", 200_000
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",")
        writer.writerows([["question", "answer"], ["what ?", "x" * size], ["why ?", 'a "b"\n' * size]])
    csv.field_size_limit(131_072)
    assert [len(row["answer"]) for row in read_dataset(path)] == [size, 6 * size]
    csv.field_size_limit(131_072)
    assert [len(row["answer"]) for row in read_records(path)] == [size, 6 * size]
    assert run(["data", "check", str(path)]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"question,answer\n\0,b\n" + b'"' + b"x" * 2**26 + b"\n" * 9)
    with pytest.raises(DataError, match="rows.csv line .*: no row of a table"):
        read_dataset(tmp_path / "rows.csv")


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    picture(number, 100).save(buffer, "PNG")
    return buffer.getvalue()


def stored_rows(column: str) -> list[dict[str, Any]]:
    return [
        {column: {"bytes": png(number), "path": None}, "question": f"what is {number} ?", "answer": "red"}
        for number in range(12)
    ]


def write_stored(folder: Path, kind: str) -> Path:
    """The same rows in a file of a kind, with their pictures inside."""
    column = "photo" if kind == "other column" else "image"
    dataset = Dataset.from_list(stored_rows(column))
    path = folder / f"rows.{'jsonl' if kind == 'base64' else 'csv' if kind == 'table' else 'parquet'}"
    if kind in ("base64", "table"):
        rows = [{**row, "image": base64.b64encode(row["image"]["bytes"]).decode()} for row in stored_rows("image")]
        if kind == "base64":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            Dataset.from_list(rows).to_csv(path, index=False)
        return path
    if kind == "listed":
        dataset = Dataset.from_list([{"images": [row["image"]] * 2, **row} for row in dataset]).remove_columns("image")
    dataset.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["stored", "other column", "listed", "base64", "table"])
def test_pictures_inside_rows_lie_on_disk_and_are_what_they_were(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_stored(tmp_path, kind)
    loaded = read_dataset(path)
    for name in ("MEMORY_BYTES", "PART_BYTES"):
        monkeypatch.setattr(kept_rows, name, 20_000)
    mapped = read_dataset(path)
    assert mapped.cache_files and not loaded.cache_files
    assert mapped.features == loaded.features and mapped.column_names == loaded.column_names
    plain = Image(decode=False)
    if "image" in mapped.column_names:
        loaded, mapped = loaded.cast_column("image", plain), mapped.cast_column("image", plain)
        assert mapped[:] == loaded[:]
    assert [row["question"] for row in mapped] == [f"what is {number} ?" for number in range(12)]
    again = read_dataset(path)
    assert again.cache_files == mapped.cache_files, "the same rows are one file"


def test_a_disk_without_room_for_the_rows_says_which_variable_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_stored(tmp_path, "stored")
    monkeypatch.setattr(kept_rows, "MEMORY_BYTES", 20_000)

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_rows, "_write", full)
    with pytest.raises(MachineError, match="cannot hold the rows: No space left on device.*HF_DATASETS_CACHE"):
        read_dataset(path)


def test_columns_that_later_rows_fill_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.data.sources import row_files

    monkeypatch.setattr(row_files, "CHUNK_ROWS", 2)
    rows: list[dict[str, Any]] = [{"a": None}, {"a": None}, {"a": "x", "b": [1]}, {"b": []}, {"a": "y"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = read_dataset(tmp_path / "rows.jsonl")
    assert read["a"][:] == [None, None, "x", None, "y"] and read["b"][:] == [None, None, [1], [], None]
    rows[4] = {"a": 7}
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_dataset(tmp_path / "rows.jsonl")["a"][:] == [None, None, "x", None, 7]


def test_an_unpacked_file_has_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "FREE_BYTES", 1000)
    path = tmp_path / "rows.parquet"
    Dataset.from_list(stored_rows("image")).to_parquet(path)
    assert len(read_dataset(path)) == 12
    assert not isinstance(read_dataset(path).data, MemoryMappedTable)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000])
def test_numbers_and_lists_without_end_are_named_by_their_line(value: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": ' + value + "}\n")
    for read in (read_dataset, read_records):
        with pytest.raises(DataError, match="rows.jsonl line 2: no "):
            list(read(path))
