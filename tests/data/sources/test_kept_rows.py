"""What is made of rows is made anew where rows, files or our code changed, and not kept in the user's folders."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, Image, IterableDataset

from sightline.data.formats import conversations
from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.mixtures import join
from sightline.data.pictures.images import stored_key
from sightline.data.sources import kept_rows, shards
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.data.sources.file_signatures import file_signature, places_signature
from tests.tiny import picture

TURNS = [{"from": "human", "value": "<image>\nwhat ?"}, {"from": "gpt", "value": "circle"}]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Two conversations about pictures, as `save_to_disk` leaves them."""
    picture(0).save(tmp_path / "0.png")
    rows = Dataset.from_dict({"image": [str(tmp_path / "0.png")] * 2, "conversations": [TURNS] * 2})
    rows.cast_column("image", Image()).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def asked(folder: Path) -> list[str]:
    return [row["messages"][0]["content"][-1]["text"] for row in sft_rows(read_dataset(folder), "saved").dataset]


def change_our_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of Sightline, which puts a word behind each text."""
    own = conversations._message

    def changed(turn: Any, name: str) -> dict[str, Any]:
        message = own(turn, name)
        return {**message, "content": f"{message['content']} CHANGED"}

    monkeypatch.setattr(conversations, "_message", changed)
    monkeypatch.setattr(kept_rows, "encoding_version", lambda: "another")


def test_conversions_of_an_older_version_are_made_anew(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(saved) == ["what ?"] * 2
    change_our_code(monkeypatch)
    assert asked(saved) == ["what ? CHANGED"] * 2


def test_conversions_are_kept_but_not_in_the_users_folder(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(saved.iterdir())
    asked(saved)
    assert sorted(saved.iterdir()) == before
    own = conversations._message

    def changed(turn: Any, name: str) -> dict[str, Any]:
        message = own(turn, name)
        return {**message, "content": f"{message['content']} CHANGED"}

    monkeypatch.setattr(conversations, "_message", changed)
    assert asked(saved) == ["what ?"] * 2, "the same version makes nothing twice"


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-200], lambda content: content.replace(b"what ?", b"whim ?"), lambda _: b""]
)
def test_a_kept_conversion_that_is_damaged_is_made_anew(damage: Any, saved: Path, tmp_path: Path) -> None:
    asked(saved)
    for path in (tmp_path / "cache" / "sightline").glob("*.arrow"):
        content = path.read_bytes()
        assert b"what ?" in content
        path.write_bytes(damage(content))
    assert asked(saved) == ["what ?"] * 2


def test_rows_are_read_where_nothing_can_be_kept(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert asked(saved) == ["what ?"] * 2


def test_preferences_and_mixtures_leave_the_users_folder_alone(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "0.png")
    rows = {"image": [str(tmp_path / "0.png")], "question": ["what ?"], "chosen": ["red"], "rejected": ["blue"]}
    Dataset.from_dict(rows).cast_column("image", Image()).save_to_disk(tmp_path / "saved")
    before = sorted((tmp_path / "saved").iterdir())
    pairs = preference_rows(read_dataset(tmp_path / "saved"), "saved").dataset
    assert len(join([pairs, pairs.add_column("more", ["x"])], ["a", "b"])) == 2
    assert sorted((tmp_path / "saved").iterdir()) == before


def keep_times(path: Path, content: bytes) -> None:
    """Other content of equal size and time of modification."""
    stat = path.stat()
    assert len(content) == stat.st_size
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def shard(answer: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        content = json.dumps({"question": "what ?", "answer": answer}).encode()
        member = tarfile.TarInfo("0.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def parquet(answer: str) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"question": ["what ?"], "answer": [answer]}), file)
    return file.getvalue()


def jsonl(answer: str) -> bytes:
    return (json.dumps({"question": "what ?", "answer": answer}) + "\n").encode()


def csv(answer: str) -> bytes:
    return f"question,answer\nwhat ?,{answer}\n".encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.tar", shard),
        ("rows.parquet", parquet),
        ("rows.jsonl", jsonl),
        ("rows.csv", csv),
        ("folder/train.tar", shard),
        ("folder/data/train-00000-of-00001.parquet", parquet),
        ("folder/data/train.jsonl", jsonl),
        ("folder/data/train.csv", csv),
    ],
)
def test_a_file_of_equal_size_and_time_is_read_anew(name: str, content: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content("red"))
    source = tmp_path / "folder" if name.startswith("folder") else path
    assert read_dataset(source)["answer"][:] == ["red"]
    assert [row["answer"] for row in read_dataset(source)] == ["red"]
    keep_times(path, content("tan"))
    assert read_dataset(source)["answer"][:] == ["tan"]


@pytest.mark.parametrize(("name", "content"), [("rows.tar", shard), ("rows.parquet", parquet), ("rows.jsonl", jsonl)])
def test_a_stream_of_equal_size_and_time_is_read_anew(name: str, content: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    for answer in ("red", "tan"):
        keep_times(path, content(answer)) if path.exists() else path.write_bytes(content(answer))
        stream = stream_dataset(path)
        assert isinstance(stream, IterableDataset) and [row["answer"] for row in stream] == [answer]


def test_a_tar_shard_is_read_anew_by_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.tar").write_bytes(shard("red"))
    read_dataset(tmp_path / "rows.tar")
    monkeypatch.setattr(shards, "encoding_version", lambda: "another")
    monkeypatch.setattr(
        shards, "read_shards", lambda paths, skip_broken: iter([{"question": "what ?", "answer": "RED"}])
    )
    assert read_dataset(tmp_path / "rows.tar")["answer"][:] == ["RED"]


def test_a_picture_of_equal_size_and_time_has_another_key(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    picture(0).save(path)
    before = stored_key(str(path))
    picture(1).save(tmp_path / "b.bmp")
    keep_times(path, (tmp_path / "b.bmp").read_bytes())
    assert stored_key(str(path)) != before


def test_of_a_large_file_samples_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(3 * 2**20))
    fixed = path.stat()
    monkeypatch.setattr(os, "stat", lambda _: fixed)
    before = file_signature(path)
    with path.open("r+b") as file:
        file.seek(3 * 2**20 - 1)
        file.write(b"x")
    assert file_signature(path) != before


@pytest.mark.slow
@pytest.mark.parametrize("files", ["*.jsonl", ["train.jsonl"], {"train": "train.jsonl"}])
def test_files_of_a_mixture_are_known_by_their_content(files: Any, tmp_path: Path) -> None:
    def placed(one: Any) -> Any:
        if isinstance(one, dict):
            return {name: placed(inner) for name, inner in one.items()}
        return [placed(inner) for inner in one] if isinstance(one, list) else str(tmp_path / one)

    path = tmp_path / "train.jsonl"
    path.write_bytes(jsonl("red"))
    before = places_signature("json", None, placed(files))
    keep_times(path, jsonl("tan"))
    assert before and places_signature("json", None, placed(files)) != before
    assert places_signature("owner/name", None, "data/*.parquet") == ""
    assert places_signature("json", str(tmp_path), None) != before
