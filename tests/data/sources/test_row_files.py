"""Annotation files, image folders, tar shards and pictures of every kind become rows; streams are the same."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.formats.columns import sft_rows
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import ConfigError, DataError


def encoded(colour: str = "red", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, kind)
    return buffer.getvalue()


def picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(colour))
    return path


def as_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def shown(dataset: Any) -> list[tuple[str, Any]]:
    """Each row's picture by its file's name, and its captions or label."""
    closed = sft_rows(dataset, "rows").dataset
    return [(Path(row["image"]["path"]).name, row["completion"][0]["content"]) for row in closed]


class TestDocuments:
    def test_coco_captions_find_their_pictures_beside_the_annotations_folder(self, tmp_path: Path) -> None:
        picture(tmp_path / "val2017" / "7.jpg")
        images = [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "8.jpg"}]
        annotations = [{"image_id": 7, "caption": "x"}, {"image_id": 7, "caption": "y"}]
        path = tmp_path / "annotations" / "captions_val2017.json"
        as_json(path, {"images": images, "annotations": annotations})
        assert shown(read_dataset(path)) == [("7.jpg", "x"), ("7.jpg", "y")]
        as_json(path, {"images": images, "annotations": [{"image_id": 7, "bbox": [0, 0, 1, 1]}]})
        with pytest.raises(DataError, match="expected annotations with a caption, found image_id, bbox"):
            read_dataset(path)

    def test_karpathys_file_gives_the_split_that_is_asked_for(self, tmp_path: Path) -> None:
        for name in "abc":
            picture(tmp_path / "train2014" / f"{name}.jpg")
        images = [
            {"filename": f"{name}.jpg", "filepath": "train2014", "split": split, "sentences": [{"raw": name}]}
            for name, split in zip("abc", ("train", "restval", "test"), strict=True)
        ]
        path = as_json(tmp_path / "dataset_coco.json", {"images": images, "dataset": "coco"})
        assert shown(read_dataset(path, "train")) == [("a.jpg", "a"), ("b.jpg", "b")]
        assert shown(read_dataset(path, "test")) == [("c.jpg", "c")]
        assert len(read_dataset(path)) == 3

    @pytest.mark.parametrize("name", ["Flickr8k.token.txt", "results_20130124.token"])
    def test_flickrs_token_files(self, name: str, tmp_path: Path) -> None:
        picture(tmp_path / "Flicker8k_Dataset" / "1.jpg")
        (tmp_path / name).write_text("1.jpg#0\tA dog .\n1.jpg#1\tIt runs .\n")
        assert shown(read_dataset(tmp_path / name)) == [("1.jpg", "A dog ."), ("1.jpg", "It runs .")]

    def test_vqav2_questions_take_their_answers_from_the_file_beside_them(self, tmp_path: Path) -> None:
        picture(tmp_path / "train2014" / "COCO_train2014_000000000009.jpg")
        question = {"image_id": 9, "question_id": 90, "question": "what?"}
        questions = {"data_subtype": "train2014", "questions": [question]}
        answers = [{"answer": "red", "answer_id": 1}, {"answer": "blue", "answer_id": 2}]
        annotation = {"question_id": 90, "multiple_choice_answer": "red", "answers": answers, "answer_type": "other"}
        path = as_json(tmp_path / "v2_OpenEnded_mscoco_train2014_questions.json", questions)
        with pytest.raises(DataError, match="expected its answers beside it in v2_mscoco_train2014_annotations.json"):
            read_dataset(path)
        as_json(tmp_path / "v2_mscoco_train2014_annotations.json", {"annotations": [annotation]})
        dataset = read_dataset(path)
        assert dataset[0]["answers"] == ["red", "blue"]
        assert shown(dataset) == [("COCO_train2014_000000000009.jpg", "red")]

    def test_another_document_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="expected a list of rows, .* VQAv2's questions; found info, licences"):
            read_dataset(as_json(tmp_path / "x.json", {"info": 1, "licences": 2}))


class TestFolders:
    def test_pictures_with_metadata(self, tmp_path: Path) -> None:
        picture(tmp_path / "train" / "a.png")
        (tmp_path / "train" / "metadata.csv").write_text("file_name,caption\na.png,red\n")
        assert shown(read_dataset(tmp_path)) == [("a.png", "red")]
        picture(tmp_path / "b.png")
        (tmp_path / "metadata.jsonl").write_text('{"file_name": "b.png", "caption": "blue"}\n')
        assert shown(read_dataset(tmp_path)) == [("a.png", "red")]
        (tmp_path / "train" / "metadata.csv").unlink()
        assert shown(read_dataset(tmp_path)) == [("b.png", "blue")]

    def test_a_folder_for_each_class(self, tmp_path: Path) -> None:
        picture(tmp_path / "train" / "red_dog" / "1.png")
        picture(tmp_path / "train" / "cat" / "2.jpg")
        assert shown(read_dataset(tmp_path)) == [("2.jpg", "cat"), ("1.png", "red dog")]

    @pytest.mark.parametrize("suffix", ["avif", "jp2", "ppm", "ico", "tga"])
    def test_pictures_of_every_format_that_opens_count(self, suffix: str, tmp_path: Path) -> None:
        (tmp_path / "cat").mkdir()
        Image.new("RGB", (32, 32), "red").save(tmp_path / "cat" / f"1.{suffix}")
        picture(tmp_path / "dog" / "2.png")
        assert shown(read_dataset(tmp_path)) == [(f"1.{suffix}", "cat"), ("2.png", "dog")]
        content = (tmp_path / "cat" / f"1.{suffix}").read_bytes()
        shard(tmp_path / "rows.tar", (f"0.{suffix}", content), ("0.json", b'{"question": "q", "answer": "a"}'))
        assert len(read_dataset(tmp_path / "rows.tar")) == 1


def shard(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


class TestShards:
    def test_samples_of_a_folder_of_shards(self, tmp_path: Path) -> None:
        row = json.dumps({"question": "q", "answer": "a"}).encode()
        shard(tmp_path / "train-0.tar", ("x/000.jpg", encoded()), ("x/000.json", row))
        shard(tmp_path / "train-1.tar", ("x/000.json", row), ("x/000.png", encoded("blue")))
        dataset = read_dataset(tmp_path)
        assert len(dataset) == 2
        with pytest.raises(ConfigError, match="streaming: expected a file"):
            stream_dataset(tmp_path, "test")
        assert dataset[1]["image"].getpixel((0, 0)) == (0, 0, 255)
        assert dataset[0]["question"] == "q"

    def test_texts_are_captions_and_a_changed_shard_is_read_again(self, tmp_path: Path) -> None:
        path = shard(tmp_path / "a.tar", ("1.png", encoded()), ("1.txt", b"red\n"))
        assert read_dataset(path)["caption"][:] == ["red"]
        shard(path, ("1.png", encoded()), ("1.txt", b"another"))
        assert read_dataset(path)["caption"][:] == ["another"]

    def test_several_pictures_of_a_sample_are_images(self, tmp_path: Path) -> None:
        path = shard(tmp_path / "a.tar", ("1.0.png", encoded()), ("1.1.png", encoded("blue")), ("1.txt", b"two"))
        assert [image.size for image in read_dataset(path)[0]["images"]] == [(4, 4), (4, 4)]

    def test_a_broken_shard_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.tar").write_bytes(shard(tmp_path / "b.tar", ("1.png", encoded())).read_bytes()[:700])
        with pytest.raises(
            DataError, match="a.tar: expected a whole tar file of samples, got one that ends or breaks early"
        ):
            list(stream_dataset(tmp_path / "a.tar"))
        with pytest.raises(DataError, match=r"b.tar sample 1: \.bin is neither a picture nor text"):
            list(stream_dataset(shard(tmp_path / "b.tar", ("1.bin", b"\xff\xfe"))))


def rows_file(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class TestPictures:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
    @pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
    def test_base64_with_and_without_a_data_prefix(self, prefix: str, kind: str, tmp_path: Path) -> None:
        text = prefix + base64.b64encode(encoded(kind=kind)).decode()
        path = rows_file(tmp_path / "rows.jsonl", {"image": text, "question": "q", "answer": "a"})
        assert read_dataset(path)[0]["image"].size == (4, 4)

    def test_broken_base64_is_named(self, tmp_path: Path) -> None:
        path = rows_file(tmp_path / "rows.jsonl", {"image": "data:image/png;base64,!!!", "question": "q"})
        with pytest.raises(DataError, match=r"rows.jsonl row 1: the image is no base64"):
            read_dataset(path)
        rows_file(path, {"image": "x" * 5000})
        with pytest.raises(DataError, match=r"rows.jsonl row 1: image 'x{200}' not found"):
            read_dataset(path)

    def test_lists_in_the_column_image_are_images(self, tmp_path: Path) -> None:
        picture(tmp_path / "a.png")
        rows: list[dict[str, Any]] = [{"image": "a.png"}, {"image": ["a.png", "a.png"]}, {}]
        dataset = read_dataset(rows_file(tmp_path / "rows.jsonl", *rows))
        assert [len(row["images"] or []) for row in dataset] == [1, 2, 0]

    def test_pictures_in_a_folder_named_images_or_in_the_one_that_is_given(self, tmp_path: Path) -> None:
        picture(tmp_path / "images" / "a.png")
        picture(tmp_path / "elsewhere" / "b.png")
        path = rows_file(tmp_path / "rows.jsonl", {"image": "a.png"})
        assert len(read_dataset(path)) == 1
        rows_file(path, {"image": "b.png"})
        with pytest.raises(DataError, match=r"row 1: image 'b.png' not found"):
            read_dataset(path)
        assert len(read_dataset(path, pictures=PictureAccess(str(tmp_path / "elsewhere")))) == 1
        with pytest.raises(DataError, match="image_folder: there is no folder"):
            read_dataset(path, pictures=PictureAccess(str(tmp_path / "none")))

    @pytest.mark.parametrize("address", ["https://a.test/b.png", "http://a/b.png", "ftp://a/b.png", "s3://a/b.png"])
    def test_addresses_are_refused_with_the_switch_that_allows_them(self, address: str, tmp_path: Path) -> None:
        path = rows_file(tmp_path / "rows.jsonl", {"image": address, "question": "q"})
        with pytest.raises(DataError, match=r"row 1: expected a picture on this machine, got the address .*allow_urls"):
            read_dataset(path)

    def test_allowed_addresses_must_be_https_still(self, tmp_path: Path) -> None:
        path = rows_file(tmp_path / "rows.jsonl", {"image": "http://a.test/b.png", "question": "q"})
        with pytest.raises(DataError, match=r"row 1: expected an https address without a user name"):
            read_dataset(path, pictures=PictureAccess(allow_urls=True))

    def test_fetched_pictures_are_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stored = picture(tmp_path / "stored.png")
        monkeypatch.setattr("sightline.data.pictures.columns.fetch_picture", lambda address: stored)
        path = rows_file(tmp_path / "rows.jsonl", {"image": "https://pictures.test/a", "question": "q"})
        assert read_dataset(path, pictures=PictureAccess(allow_urls=True))[0]["image"].size == (4, 4)

    def test_bytes_in_parquet_without_a_feature(self, tmp_path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({"image": [encoded()], "question": ["q"]})
        pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
        assert read_dataset(tmp_path / "rows.parquet")[0]["image"].size == (4, 4)


class TestStreams:
    def test_a_stream_gives_the_rows_of_the_whole(self, tmp_path: Path) -> None:
        picture(tmp_path / "a.png")
        turns = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}]
        rows = [{"image": "a.png", "conversations": turns, "id": number} for number in range(3)]
        path = rows_file(tmp_path / "rows.jsonl", *rows)
        whole, stream = (sft_rows(read(path), "rows").dataset for read in (read_dataset, stream_dataset))
        assert list(stream) == list(whole)
        read_dataset(path).to_parquet(tmp_path / "rows.parquet")
        parquet = sft_rows(stream_dataset(tmp_path / "rows.parquet"), "rows").dataset
        assert [row["messages"] for row in parquet] == whole["messages"][:]

    def test_several_captions_are_several_rows_of_a_stream(self, tmp_path: Path) -> None:
        picture(tmp_path / "a.png")
        path = rows_file(tmp_path / "rows.jsonl", {"image": "a.png", "captions": ["x", "y"]})
        rows = list(sft_rows(stream_dataset(path), "rows").dataset)
        assert [row["completion"][0]["content"] for row in rows] == ["x", "y"]

    def test_what_cannot_be_streamed_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"streaming: expected a file of .jsonl, .parquet, .tar"):
            stream_dataset(as_json(tmp_path / "rows.json", [{"question": "q"}]))

    def test_a_later_row_that_does_not_fit_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sightline.data.sources.datasets.PEEKED_ROWS", 2)
        rows = [{"question": "q", "answer": "a"}] * 3 + [{"question": "q", "answer": "a", "extra": 1}]
        with pytest.raises(DataError, match="rows.jsonl row 4: expected the columns .*found extra, too. Set streaming"):
            list(stream_dataset(rows_file(tmp_path / "rows.jsonl", *rows)))


def test_chunks_of_a_large_file_make_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.data.sources.row_files.CHUNK_ROWS", 2)
    path = rows_file(tmp_path / "rows.jsonl", *[{"question": str(n)} for n in range(5)])
    assert read_dataset(path)["question"][:] == ["0", "1", "2", "3", "4"]
    rows_file(path, {"answer": 1}, {"answer": 2}, {"answer": "three"})
    assert read_dataset(path)["answer"][:] == [1, 2, "three"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "image;question;answer\nred.png;what, who?;x\n", "separated by commas, got .* semicolons"),
        ("a.csv", "image\tquestion\nred.png\tx\n", "separated by commas, got .* tabs"),
        ("a.tsv", "image,question\nred.png,x\n", "separated by tabs, got .* commas"),
        ("a.csv", "image,answer,answer\nred.png,x,y\n", "the column 'answer' stands there twice"),
        ("a.csv", "\nimage,answer\nred.png,x\n", "line 1: expected the names of the columns"),
    ],
)
def test_a_header_that_says_something_else_is_told(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        read_dataset(tmp_path / name)


def test_a_saved_dataset_of_tensors_is_read_with_all_its_columns(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = Dataset.from_dict({"question": ["what ?"], "answer": ["3"]})
    rows.with_format("arrow", columns=["question"]).save_to_disk(str(tmp_path / "saved"))
    assert list(read_dataset(tmp_path / "saved")) == [{"question": "what ?", "answer": "3"}]
