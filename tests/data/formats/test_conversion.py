"""What `data convert` copies into an output: pictures of the dataset's own folders, and no other file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from sightline.cli.main import run
from tests.tiny import picture

FORMS = {"trl-sft": "out.jsonl", "llava": "out.json", "parquet": "out.parquet"}
SECRET = b"a secret that nobody gives away"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset beside the files of somebody else."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "victim").mkdir()
    picture(0).save(tmp_path / "mine" / "own.png")
    picture(1).save(tmp_path / "victim" / "private.png")
    (tmp_path / "victim" / "id_rsa").write_bytes(SECRET)
    (tmp_path / "mine" / "key.png").symlink_to(tmp_path / "victim" / "id_rsa")
    (tmp_path / "mine" / "link.png").symlink_to(tmp_path / "victim" / "private.png")
    os.mkfifo(tmp_path / "mine" / "pipe.png")
    return tmp_path


def rows_of(folder: Path, *images: Any) -> str:
    path = folder / "mine" / "rows.jsonl"
    rows = [{"image": image, "question": "what ?", "answer": "red"} for image in images]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def convert(folder: Path, source: str, to: str, *flags: str) -> int:
    return run(["data", "convert", source, str(folder / "new" / FORMS[to]), "--to", to, *flags])


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / "new").rglob("*") if path.is_file())


@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("../victim/id_rsa", "is no picture that Pillow can read (text)"),
        ("/etc/passwd", "is no picture that Pillow can read (text)"),
        ("key.png", "is no picture that Pillow can read (text)"),
        ("file:///etc/hostname", "is no picture that Pillow can read (text)"),
        ("../victim/private.png", "lies outside of "),
        ("link.png", "lies outside of "),
        ("pipe.png", "expected a file, got 'pipe.png', which is a folder, a pipe or a device"),
        ("/dev/zero", "expected a file, got '/dev/zero'"),
        (".", "expected a file, got '.'"),
    ],
)
def test_no_other_file_is_copied(to: str, image: str, message: str, folder: Path, capsys: Any) -> None:
    source = rows_of(folder, "own.png", image)
    assert convert(folder, source, to) == 2
    error = capsys.readouterr().err
    assert "rows.jsonl row 2: " in error and message in error
    assert not list(folder.glob("new/*"))
    assert convert(folder, source, to, "--skip_bad_rows") == 0
    error = capsys.readouterr().err
    assert "2 rows" in error and "1 left out that cannot be used" in error and "rows.jsonl row 2: " in error
    assert SECRET not in written(folder) and b"root:" not in written(folder)
    assert (
        len(
            load_dataset(
                FORMS[to].partition(".")[2].replace("jsonl", "json"),
                data_files=str(folder / "new" / FORMS[to]),
                cache_dir=str(folder / "cache"),
            )["train"]
        )
        == 1
    )


@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize("image", ["../victim/private.png", "link.png"])
def test_pictures_elsewhere_are_copied_where_the_user_says_so(to: str, image: str, folder: Path) -> None:
    source = rows_of(folder, str(folder / "mine" / image))
    assert convert(folder, source, to, "--image_folder", str(folder / "victim")) == 0
    (folder / "new").rename(folder / "first")
    assert convert(folder, source, to, "--allow_outside") == 0


def test_linked_folders_of_pictures_and_snapshots_of_the_hub_are_the_datasets_own(folder: Path) -> None:
    (folder / "mine" / "images").symlink_to(folder / "victim")
    assert convert(folder, rows_of(folder, "private.png"), "trl-sft") == 0
    snapshot = folder / "hub" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (folder / "hub" / "blobs").mkdir()
    picture(2).save(folder / "hub" / "blobs" / "abc", "PNG")
    (snapshot / "a.png").symlink_to("../../blobs/abc")
    (snapshot / "rows.jsonl").write_text('{"image": "a.png", "question": "what ?", "answer": "red"}\n')
    assert convert(folder, str(snapshot / "rows.jsonl"), "parquet") == 0


def test_pictures_of_every_column_are_held_to_it_in_parquet(folder: Path, capsys: Any) -> None:
    row = {
        "image": "own.png",
        "rejected_images": ["../victim/private.png"],
        "prompt": "a",
        "chosen": "b",
        "rejected": "c",
    }
    (folder / "mine" / "rows.jsonl").write_text(json.dumps(row) + "\n")
    for to in ("parquet", "trl-sft"):
        assert convert(folder, str(folder / "mine" / "rows.jsonl"), to) == 2
    assert (
        run(
            ["data", "convert", str(folder / "mine" / "rows.jsonl"), str(folder / "new" / "o.jsonl"), "--to", "trl-dpo"]
        )
        == 2
    )
    assert capsys.readouterr().err.count("private.png' lies outside of ") >= 2


def test_nothing_is_written_where_no_row_can_be_used(folder: Path, capsys: Any) -> None:
    for to in FORMS:
        assert convert(folder, rows_of(folder, "key.png", "/etc/passwd"), to, "--skip_bad_rows") == 2
        assert "None of 2 rows can be used. The first: rows.jsonl row 1" in capsys.readouterr().err
        assert not (folder / "new" / FORMS[to]).exists()


def test_parquet_holds_pictures_even_where_references_are_asked_for(folder: Path, capsys: Any) -> None:
    source = rows_of(folder, "own.png", "../victim/private.png")
    assert convert(folder, source, "parquet", "--images", "reference") == 2
    assert "lies outside of " in capsys.readouterr().err
