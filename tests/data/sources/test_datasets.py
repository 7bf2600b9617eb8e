"""Rows are read from every kind of file without opening a picture; bad input is named with file and row."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Image as ImageFeature, List
from PIL import Image

from sightline.data.formats.columns import sft_rows
from sightline.data.pictures.columns import PictureAccess, close_images
from sightline.data.pictures.images import read_whole, row_images, stored_image
from sightline.data.sources.datasets import read_dataset, row_name, stream_dataset
from sightline.errors import DataError
from sightline.settings import places


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for name in "ab":
        Image.new("RGB", (4, 4), "red").save(tmp_path / "pictures" / f"{name}.png")
    return tmp_path


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ROWS = [
    {"image": "pictures/a.png", "question": "what?", "answer": "red"},
    {"image": "pictures/b.png", "question": "who?", "answer": "None"},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_each_file_type_gives_the_same_rows_with_lazy_pictures(suffix: str, folder: Path) -> None:
    path = folder / f"rows{suffix}"
    if suffix == ".jsonl":
        write_rows(path, ROWS)
    elif suffix == ".json":
        path.write_text(json.dumps(ROWS))
    elif suffix == ".parquet":
        Dataset.from_list(ROWS).to_parquet(path)
    else:
        mark = "," if suffix == ".csv" else "\t"
        path.write_text("\n".join(mark.join(row) for row in [list(ROWS[0]), *(list(row.values()) for row in ROWS)]))
    dataset = read_dataset(path)
    assert dataset.column_names == ["image", "question", "answer"]
    assert dataset.features["image"] == ImageFeature()
    assert dataset[0]["image"].size == (4, 4)
    assert dataset[1]["answer"] == "None"


def test_lists_of_paths_become_lists_of_pictures(folder: Path) -> None:
    path = write_rows(folder / "rows.jsonl", [{"images": ["pictures/a.png", "pictures/b.png"]}, {"images": None}])
    dataset = read_dataset(path)
    assert dataset.features["images"] == List(ImageFeature())
    assert len(dataset[0]["images"]) == 2


def test_pictures_are_not_opened_while_reading(folder: Path) -> None:
    (folder / "pictures" / "a.png").write_text("not a picture")
    assert len(read_dataset(write_rows(folder / "rows.jsonl", ROWS))) == 2


def test_rows_may_differ_in_their_columns(folder: Path) -> None:
    path = write_rows(folder / "rows.jsonl", [{"question": "a"}, {"question": "b", "answer": 2}, {"answer": "two"}])
    assert read_dataset(path)[:] == {"question": ["a", "b", None], "answer": [None, 2, "two"]}


def test_content_may_be_a_string_here_and_parts_there(folder: Path) -> None:
    contents: list[Any] = ["hello", [{"type": "image"}, {"type": "text", "text": "what?"}]]
    rows = [{"messages": [{"role": "user", "content": content}]} for content in contents]
    dataset = read_dataset(write_rows(folder / "rows.jsonl", rows))
    assert [row["messages"][0]["content"] for row in dataset] == contents


def test_a_missing_picture_is_named_with_file_and_row(folder: Path) -> None:
    path = write_rows(folder / "train.jsonl", [*ROWS, {**ROWS[0], "image": "pictures/x.png"}])
    with pytest.raises(DataError, match=r"train.jsonl row 3: image 'pictures/x.png' not found in /"):
        read_dataset(path)


def test_a_broken_line_is_named(folder: Path) -> None:
    path = folder / "rows.jsonl"
    path.write_text('{"question": "a"}\n\n{"question": \n')
    with pytest.raises(DataError, match=r"rows.jsonl line 3: no valid JSON"):
        read_dataset(path)
    path.write_text('["a"]\n')
    with pytest.raises(DataError, match=r"rows.jsonl line 1: expected an object of columns"):
        read_dataset(path)


def test_a_csv_row_with_too_many_values_is_named(folder: Path) -> None:
    (folder / "rows.csv").write_text("question,answer\na,b\nc,d,e\n")
    with pytest.raises(DataError, match=r"rows.csv row 2: more values than the header has columns \(2\)"):
        read_dataset(folder / "rows.csv")


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.jsonl", "no file or folder none.jsonl"), ("./none", "no file or folder"), ("a/b/c", "no file or folder")],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(name)


def test_other_faults_of_a_file_say_what_to_do(folder: Path) -> None:
    (folder / "rows.xlsx").write_text("")
    with pytest.raises(DataError, match=r"expected one of .jsonl, .*, .tar, .token, .txt, got '.xlsx'"):
        read_dataset(folder / "rows.xlsx")
    (folder / "rows.jsonl").write_text("")
    with pytest.raises(DataError, match="has no rows"):
        read_dataset(folder / "rows.jsonl")
    (folder / "rows.jsonl").write_bytes('{"question": "Größe"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not encoded in UTF-8"):
        read_dataset(folder / "rows.jsonl")


def test_a_folder_written_by_save_to_disk_is_read_with_its_split(folder: Path) -> None:
    table = Dataset.from_dict({"question": ["a"]})
    table.save_to_disk(folder / "one")
    DatasetDict({"train": table, "test": Dataset.from_dict({"question": ["b"]})}).save_to_disk(folder / "two")
    assert read_dataset(folder / "one")["question"][:] == ["a"]
    assert read_dataset(folder / "two")["question"][:] == ["a"]
    assert read_dataset(folder / "two", split="test")["question"][:] == ["b"]
    with pytest.raises(DataError, match=r"has no split 'tests'; it has train, test. Did you mean 'test'\?"):
        read_dataset(folder / "two", split="tests")


def test_a_folder_of_files_is_read_by_split(folder: Path) -> None:
    write_rows(folder / "train.jsonl", ROWS)
    write_rows(folder / "test.jsonl", ROWS[:1])
    assert len(read_dataset(folder)) == 2
    assert len(read_dataset(folder, split="test")) == 1


@pytest.mark.slow
def test_forty_thousand_rows_are_read_in_seconds(folder: Path) -> None:
    path = write_rows(folder / "rows.jsonl", ROWS * 20_000)
    start = time.perf_counter()
    assert len(read_dataset(path)) == 40_000
    assert time.perf_counter() - start < 5


def test_rows_count_from_one() -> None:
    assert row_name("data/train.jsonl", 11) == "train.jsonl row 12"
    assert row_name("owner/name", 0) == "owner/name row 1"


def test_one_file_does_not_answer_to_every_split(tmp_path):
    """Only to train, which every trainer asks for, and to a split that stands in its name."""
    rows = Dataset.from_list([{"question": "what?", "answer": "red"}] * 3)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.to_parquet(tmp_path / "rows.parquet")
    rows.save_to_disk(tmp_path / "saved")
    rows.to_json(tmp_path / "rows.jsonl")
    (tmp_path / "rows.json").write_text(json.dumps({"data": list(rows)}))
    (tmp_path / "captions.token").write_text("a.png#0\tred\n")
    for name in ("rows.csv", "rows.parquet", "saved", "rows.jsonl", "rows.json", "captions.token"):
        for split in ("test", "validation", "tests"):
            with pytest.raises(DataError, match=f"{name} has no split '{split}'"):
                read_dataset(tmp_path / name, split)
    for name in ("rows.csv", "rows.parquet", "saved", "rows.jsonl", "rows.json"):
        assert len(read_dataset(tmp_path / name, "train")) == len(read_dataset(tmp_path / name)) == 3
    for name, split in (("test.jsonl", "test"), ("my_test-00000-of-00001.jsonl", "test"), ("val2017.jsonl", "val")):
        rows.to_json(tmp_path / name)
        assert len(read_dataset(tmp_path / name, split)) == 3
    with pytest.raises(DataError, match="contest.jsonl has no split 'test'"):
        rows.to_json(tmp_path / "contest.jsonl")
        read_dataset(tmp_path / "contest.jsonl", "test")
    with pytest.raises(DataError, match="rows.jsonl has no split 'test'"):
        stream_dataset(tmp_path / "rows.jsonl", "test")


def test_a_column_whose_pictures_change_when_they_are_opened_is_refused():
    """TRL sees such pictures grey; read as they are stored they would be coloured."""
    row = {"image": Image.new("RGB", (4, 4), "red"), "question": "what?", "answer": "red"}
    rows = Dataset.from_list([row])
    assert sft_rows(rows.cast_column("image", ImageFeature(mode="RGB")), "rows").dataset[0]["image"]["bytes"]
    with pytest.raises(DataError, match=r"got a column of datasets.Image\(mode='L'\)"):
        sft_rows(rows.cast_column("image", ImageFeature(mode="L")), "rows")


@pytest.mark.parametrize("name", ["owner/rows", "rows-of-the-hub"])
def test_a_dataset_of_a_hub_that_cannot_be_reached_ends_soon(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def refuse(host: str, port: int) -> str:
        tried.append(host)
        return "no way"

    monkeypatch.setattr(places, "_refused", refuse)
    monkeypatch.setattr(places, "_set_offline", lambda: None)
    for variable in places.OFFLINE:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("datasets.load_dataset", lambda *given, **named: (_ for _ in ()).throw(ConnectionError("off")))
    places.unreachable.cache_clear()
    with pytest.raises(DataError, match=f"{name} is no file or folder here, and the Hub cannot be reached"):
        read_dataset(name)
    places.unreachable.cache_clear()
    assert len(tried) == 2


class TestPicturesThatAreNone:
    """Each is refused with its row, and where bad rows are left out, stands there for whoever opens it."""

    PARTS = ({"type": "image", "image": "pictures/a.png"}, {"type": "image"}, {"type": "text", "text": "q"})
    TURNS = ({"role": "user", "content": list(PARTS)}, {"role": "assistant", "content": "a"})

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"image": {"base64": "no base64!"}}, "the image is no base64"),
            ({"image": {"other": "a.png"}}, "got one with other"),
            ({"image": 5}, "expected an image .*, got int"),
            ({"image": "file://host/a.png"}, "expected a file of this machine"),
            ({"image": "pictures/a.png", "images": ["pictures/b.png"]}, "in image or in images, got others in both"),
            ({"messages": list(TURNS)}, "1 of 2 image parts name their picture"),
        ],
    )
    def test_whatever_is_wrong_with_it(self, row: dict[str, Any], said: str, folder: Path) -> None:
        path = write_rows(folder / "rows.jsonl", [ROWS[0], {**ROWS[0], "image": None, **row}])
        for read in (read_dataset, stream_dataset):
            with pytest.raises(DataError, match=f"rows.jsonl row 2: .*{said}"):
                list(read(path))
        skipped = PictureAccess(skip_bad_rows=True)
        assert len(list(stream_dataset(path, pictures=skipped))) == 1
        dataset = close_images(read_dataset(path, pictures=skipped))
        assert len(dataset) == 2
        with pytest.raises(DataError, match=f"here: .*{said}"):
            read_whole(stored_image(row_images(dataset[1])[0]), "here")


def test_gaps_that_pandas_writes_are_rows_without_pictures(folder: Path) -> None:
    for name in ("image", "images"):
        Dataset.from_dict({name: [float("nan")] * 2, "question": ["q"] * 2}).to_parquet(folder / "r.parquet")
        for read in (read_dataset, stream_dataset):
            assert [row_images(row) for row in read(folder / "r.parquet")] == [[], []]


def test_links_lead_to_rows_and_their_pictures(folder: Path) -> None:
    (folder / "links").mkdir()
    (folder / "links" / "rows.jsonl").symlink_to(write_rows(folder / "rows.jsonl", ROWS))
    for read in (read_dataset, stream_dataset):
        assert len(list(read(folder / "links" / "rows.jsonl"))) == len(list(read(folder / "links"))) == 2
    (folder / "links" / "gone.jsonl").symlink_to("nowhere.jsonl")
    with pytest.raises(DataError, match=r"gone.jsonl is a link to nowhere.jsonl, which is not there"):
        read_dataset(folder / "links" / "gone.jsonl")
    with pytest.raises(DataError, match=r"gone.jsonl is a link to nowhere.jsonl, which is not there"):
        read_dataset(folder / "links")
    (folder / "c.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"row 1: image 'c.png' is a link to nowhere.png, which is not there"):
        read_dataset(write_rows(folder / "rows.jsonl", [{"image": "c.png"}]))
