"""A folder gives the rows of one split, all of them, whatever it is called; what nobody can tell is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from PIL import Image

from sightline.data.formats.conversion import ConversionSettings, run_convert
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.data.sources.file_signatures import places_signature
from sightline.errors import ConfigError, DataError

CSV = "image,question,answer\na.png,q,csv\n"
ODD = ["a::b", "[x]", "a*b", "a?b", "50%20", "a#b", "$HOME", "a b", "{a,b}", "~x", "a[b"]


def folder(place: Path, files: dict[str, str]) -> Path:
    for name in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        content = (
            CSV if name.endswith("csv") else json.dumps({"image": "a.png", "question": "q", "answer": files[name]})
        )
        (place / name).write_text(content)
        Image.new("RGB", (4, 4), "red").save((place / name).parent / "a.png")
    return place


def answers(place: Path, split: str | None = None) -> list[str]:
    return read_dataset(place, split)["answer"][:]


@pytest.mark.parametrize(
    "names", [("x.jsonl", "y.csv"), ("train.jsonl", "train.csv"), ("d/train-0.csv", "train_1.jsonl")]
)
def test_rows_of_two_kinds_are_refused_by_name(names: tuple[str, str], tmp_path: Path) -> None:
    place = folder(tmp_path, dict.fromkeys(names, "x"))
    for read in (read_dataset, stream_dataset):
        with pytest.raises(DataError, match="expected rows in files of one kind, found ") as told:
            read(place)
        assert all(name in str(told.value) for name in names)
    assert answers(place / names[0])


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_pictures_beside_rows_are_not_rows_of_their_own(name: str, tmp_path: Path) -> None:
    place = folder(tmp_path, {name: "csv"})
    (place / "images").mkdir()
    (place / "a.png").rename(place / "images" / "a.png")
    assert answers(place) == ["csv"]
    for number in range(4):
        Image.new("RGB", (4, 4)).save(place / f"{number}.png")
    assert answers(place) == ["csv"]


def test_shards_are_read_in_order_with_their_own_pictures(tmp_path: Path) -> None:
    place = folder(tmp_path, {"p/train-1.jsonl": "2", "o/train-0.jsonl": "1", "test.jsonl": "3"})
    Image.new("RGB", (4, 4), "blue").save(place / "p" / "a.png")
    rows = read_dataset(place)
    assert [(row["answer"], row["image"].getpixel((0, 0))) for row in rows] == [("1", (255, 0, 0)), ("2", (0, 0, 255))]
    assert [row["answer"] for row in stream_dataset(place)] == ["1", "2"]
    assert answers(place, "test") == ["3"]
    with pytest.raises(DataError, match=r"has no split 'tests'; it has test, train. Did you mean 'test'\?"):
        read_dataset(place, "tests")
    for file in (place / "p" / "a.png", place / "a.png"):
        file.unlink()
    with pytest.raises(DataError, match="train-1.jsonl row 1: image 'a.png' not found"):
        read_dataset(place)


def test_shards_of_other_types_become_one_table(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": "x"}\n')
    (tmp_path / "b.jsonl").write_text('{"question": "q", "answer": 5, "more": true}\n')
    rows = [{"question": "q", "answer": "x", "more": None}, {"question": "q", "answer": 5, "more": True}]
    assert list(read_dataset(tmp_path)) == rows


def test_files_that_are_left_out_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answers(folder(tmp_path, {"train.jsonl": "x", "more.jsonl": "y", "test.csv": "z"})) == ["x"]
    said = capsys.readouterr()
    assert "train is read from train.jsonl; not read: more.jsonl." in said.out + said.err


def test_an_object_beside_rows_describes_them_and_a_list_may_be_rows(tmp_path: Path) -> None:
    place = folder(tmp_path, {"rows.jsonl": "x"})
    (place / "notes.json").write_text('{"licence": "MIT"}')
    assert answers(place) == ["x"]
    (place / "notes.json").write_text('[{"question": "q", "answer": "x"}]')
    with pytest.raises(DataError, match="found notes.json, rows.jsonl"):
        read_dataset(place)


def test_the_only_split_is_read_where_none_is_asked_for(tmp_path: Path) -> None:
    place = folder(tmp_path, {"test.jsonl": "x"})
    assert answers(place) == ["x"] == [row["answer"] for row in stream_dataset(place)]
    for read in (read_dataset, stream_dataset):
        with pytest.raises((DataError, ConfigError)):
            read(place, "train")


@pytest.mark.parametrize("name", ODD)
def test_no_name_of_a_folder_is_a_pattern(name: str, tmp_path: Path) -> None:
    place = folder(tmp_path / name, {"r0.jsonl": "1", "r1.jsonl": "2"})
    folder(tmp_path / "axb", {"r0.jsonl": "other"})
    assert answers(place) == ["1", "2"] == [row["answer"] for row in stream_dataset(place)]
    run_convert(ConversionSettings(str(place / "r0.jsonl"), str(place / "out.parquet"), "parquet"))
    assert read_dataset(place / "out.parquet")[0]["image"].size == (4, 4)
    Dataset.from_dict({"answer": ["saved"]}).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved").rename(place / "saved")
    assert answers(place / "saved") == ["saved"]


def test_pictures_alone_in_a_folder_that_is_a_pattern_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a[b]").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a[b]" / "1.png")
    with pytest.raises(DataError, match=r"expected a folder without '\[' in its name"):
        read_dataset(tmp_path / "a[b]")


@pytest.mark.parametrize("name", ODD)
def test_a_changed_file_is_known_in_a_folder_whose_name_is_a_pattern(name: str, tmp_path: Path) -> None:
    place = folder(tmp_path / name, {"r.jsonl": "1"})
    before = places_signature(str(place / "r.jsonl"))
    folder(place, {"r.jsonl": "other"})
    assert before and before != places_signature(str(place / "r.jsonl"))


@pytest.mark.parametrize("read", [read_dataset, stream_dataset])
def test_what_may_not_be_read_is_not_called_broken(read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **named: Any) -> None:
        raise PermissionError(13, "Permission denied")

    Dataset.from_dict({"answer": ["x"]}).to_parquet(tmp_path / "r.parquet")
    monkeypatch.setattr("pyarrow.parquet.ParquetFile", refuse)
    with pytest.raises(DataError, match="r.parquet may not be read by this user. Give it the right"):
        read(tmp_path / "r.parquet")


def test_a_folder_inside_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(place: Any) -> Any:
        if Path(place).name == "closed":
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    folder(tmp_path, {"r.jsonl": "x"})
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(PermissionError, match="closed"):
        read_dataset(tmp_path)
