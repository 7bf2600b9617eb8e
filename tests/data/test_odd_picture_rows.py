"""Rows that name their pictures in odd ways show them, or are refused by name: never trained without them."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from sightline.data.checking.rows import read_texts
from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.pictures.images import open_image, row_images
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError
from tests.data.pictures.test_gathering import ANSWER, TEXT, VQA, asked, colours, encoded, rows_file

PART = {"type": "image"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (40, 48), colour).save(tmp_path / f"{colour}.png")
    return tmp_path


def words(messages: Any) -> str:
    """What a conversation says, I for each picture."""
    parts = [part for message in messages for part in message["content"]]
    return " ".join("I" if part["type"] == "image" else part["text"] for part in parts)


def shard(folder: Path, *files: tuple[str, bytes]) -> Path:
    path = folder / "rows.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_stored_path_without_bytes_counts_from_the_rows_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (40, 48), "green").save(elsewhere / "red.png")
    monkeypatch.chdir(elsewhere)
    records = [{"bytes": None, "path": "red.png"}, {"bytes": encoded("blue"), "path": "x.png"}]
    for column in ("image", "photo"):
        table = pyarrow.table({column: records, "question": ["a", "b"], "answer": ["c", "d"]})
        parquet.write_table(table, folder / "rows.parquet")
        assert [colours(row) for row in read_dataset(folder / "rows.parquet")] == [["red"], ["blue"]]


@pytest.mark.parametrize("column", ["images", "photos", "screenshot"])
@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ('["red.png", "green.png"]', ["red", "green"]),
        ("['red.png', 'green.png']", ["red", "green"]),
        ("{'bytes': None, 'path': 'blue.png'}", ["blue"]),
        ("[]", []),
    ],
)
def test_a_cell_of_csv_holds_a_list_or_a_record(column: str, cell: str, shown: list[str], folder: Path) -> None:
    rows = [{column: "['red.png']", **VQA}, {column: cell, **VQA}]
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert [colours(row) for row in read_dataset(folder / "rows.csv")] == [["red"], shown]


def test_a_file_is_a_picture_by_what_is_in_it(folder: Path) -> None:
    (folder / "5f3a").write_bytes(encoded("red"))
    (folder / "notes").write_text("about it")
    assert colours(read_dataset(rows_file(folder, {"media_ref": "5f3a", "log": "notes", **VQA}))[0]) == ["red"]
    assert "images" not in read_dataset(rows_file(folder, {"log": "notes", **VQA})).column_names


def test_pictures_inside_of_other_records_are_refused_by_their_column(folder: Path) -> None:
    features = datasets.Features({"doc": {"page": datasets.Image()}, "question": datasets.Value("string")})
    features["answer"] = datasets.Value("string")
    rows = {"doc": [{"page": encoded("red")}], "question": ["a"], "answer": ["b"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(folder / "saved"))
    with pytest.raises(DataError, match="the column doc holds pictures inside of records"):
        read_dataset(folder / "saved")


def test_arrays_of_numbers_under_a_pictures_name_are_refused(folder: Path) -> None:
    pixels = [[[255, 0, 0]] * 4] * 4
    with pytest.raises(DataError, match="the column img holds pictures .* as arrays of numbers"):
        read_dataset(rows_file(folder, {"img": pixels, **VQA}))
    features = datasets.Features({"img": datasets.Array3D((4, 4, 3), "uint8"), "question": datasets.Value("string")})
    features["answer"] = datasets.Value("string")
    rows = {"img": [pixels], "question": ["a"], "answer": ["b"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(folder / "saved"))
    with pytest.raises(DataError, match="the column img holds pictures"):
        read_dataset(folder / "saved")
    boxes = {"image": "red.png", "bbox": [[1, 2, 3, 4]], **VQA}
    assert colours(read_dataset(rows_file(folder, boxes))[0]) == ["red"]


@pytest.mark.parametrize("none", [{}, {"photo": None}])
def test_a_stream_whose_first_rows_have_no_picture_stops_at_the_first_that_has(none: Any, folder: Path) -> None:
    path = rows_file(folder, *[{**none, **VQA}] * 120, {"photo": "red.png", **VQA})
    with pytest.raises(DataError, match=r"row 121: expected pictures in the columns .* got one in photo"):
        list(stream_dataset(path))
    assert colours(read_dataset(path)[120]) == ["red"]
    assert len(list(stream_dataset(rows_file(folder, *[VQA] * 120, {"note": "late", **VQA})))) == 121


def test_a_sample_whose_picture_is_not_in_its_shard_is_refused(folder: Path) -> None:
    named = json.dumps({"image": "red.png", **VQA}).encode()
    with pytest.raises(DataError, match=r"sample 0: expected its pictures in the shard, got none, .* red\.png"):
        read_dataset(shard(folder, ("0.json", named)))
    whole = read_dataset(shard(folder, ("0.png", encoded("green")), ("0.json", named)))
    assert colours(whole[0]) == ["green"]
    assert len(read_dataset(shard(folder, ("0.json", json.dumps({"image": None, **VQA}).encode())))) == 1


@pytest.mark.parametrize(
    ("content", "images", "said"),
    [("a <image> b", ["red.png"], "a I b"), ("<image><image> c", ["red.png", "blue.png"], "I I c")],
)
def test_a_messages_own_pictures_stand_where_its_marks_are(
    content: str, images: list[str], said: str, folder: Path
) -> None:
    path = rows_file(folder, {"messages": [{"role": "user", "content": content, "images": images}, ANSWER]})
    row = sft_rows(read_dataset(path), str(path)).dataset[0]
    assert words(row["messages"][:1]) == said
    assert len(row_images(row)) == len(images)


def test_marks_beside_image_parts_are_refused_but_numbers_refer_to_them(folder: Path) -> None:
    for text in ("<image> what is red ?", "<|image_pad|> what is red ?"):
        path = rows_file(folder, {"messages": [asked(PART, {**TEXT, "text": text}), ANSWER], "images": ["red.png"]})
        with pytest.raises(DataError, match="row 1: the prompt has 1 image part and 1 mark"):
            sft_rows(read_dataset(path), str(path))
    text = "is <image 1> as <image 2> ?"
    row = {"messages": [asked(PART, PART, {**TEXT, "text": text}), ANSWER], "images": ["red.png", "blue.png"]}
    path = rows_file(folder, row)
    assert words(sft_rows(read_dataset(path), str(path)).dataset[0]["messages"][:1]) == f"I I {text}"


@pytest.mark.parametrize("mark", ["<image_token>", "<image_pad>", "<IMG_CONTEXT>", "<image/>"])
def test_further_spellings_are_marks(mark: str, folder: Path) -> None:
    path = rows_file(folder, {"image": "red.png", **VQA, "question": f"what {mark} is ?"})
    row = sft_rows(read_dataset(path), str(path)).dataset[0]
    assert words(row["prompt"]) == "what I is ?"


@pytest.mark.parametrize("whole", [True, False])
def test_swifts_rejected_messages_are_held_against_the_chosen(whole: bool, folder: Path) -> None:
    question = {"role": "user", "content": "<image>what is red ?"}
    rejected = [*([question] if whole else []), {"role": "assistant", "content": "square"}]
    row = {"messages": [question, ANSWER], "rejected_messages": rejected, "images": ["red.png"]}
    path = rows_file(folder, row)
    pair = preference_rows(read_dataset(path), str(path)).dataset[0]
    assert words(pair["prompt"]) == "I what is red ?"
    assert [words(pair[column]) for column in ("chosen", "rejected")] == ["circle", "square"]
    assert open_image(row_images(pair)[0], "row").getpixel((0, 0)) == (255, 0, 0)


def test_a_call_of_a_tool_is_an_answer_to_the_data_check(folder: Path) -> None:
    call = {"type": "function", "function": {"name": "look", "arguments": {"at": 1}}}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    question = {"role": "user", "content": "what is red ?"}
    row = {"messages": [question, called, {"role": "tool", "name": "look", "content": "3"}, ANSWER]}
    assert read_texts(row).turns == (("what is red ?", str([call])), ("3", "circle"))
