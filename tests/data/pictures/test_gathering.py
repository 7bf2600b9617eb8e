"""Pictures of any column, record and message part reach `image` or `images`, or the row is refused by name."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.pictures.columns import PictureAccess
from sightline.data.pictures.images import open_image, row_images
from sightline.data.pictures.messages import in_front
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}
VQA = {"question": "what is red ?", "answer": "circle"}
ANSWER = {"role": "assistant", "content": "circle"}
TEXT = {"type": "text", "text": "what is red ?"}


def encoded(colour: str) -> bytes:
    content = BytesIO()
    Image.new("RGB", (40, 48), colour).save(content, "PNG")
    return content.getvalue()


RED64 = base64.b64encode(encoded("red")).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for colour in COLOURS:
        (tmp_path / f"{colour}.png").write_bytes(encoded(colour))
    return tmp_path


def rows_file(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def colours(row: dict[str, Any]) -> list[str]:
    """The colours that a row shows, in order."""
    shown = [open_image(value, "row").getpixel((0, 0)) for value in row_images(row)]
    return [next(name for name, value in COLOURS.items() if value == pixel) for pixel in shown]


def placeholders(row: dict[str, Any], column: str = "messages") -> int:
    return sum(
        part["type"] == "image" for turn in row[column] if isinstance(turn["content"], list) for part in turn["content"]
    )


def both_ways(path: Path) -> list[list[dict[str, Any]]]:
    """The rows as training reads them, from the whole file and as a stream."""
    return [list(sft_rows(read(path), str(path)).dataset) for read in (read_dataset, stream_dataset)]


class TestParts:
    @pytest.mark.parametrize(
        "part",
        [
            {"type": "image", "image": "red.png"},
            {"type": "image", "url": "red.png"},
            {"type": "image", "path": "red.png"},
            {"type": "image", "base64": RED64},
            {"type": "image_url", "image_url": {"url": "red.png"}},
            {"type": "image_url", "image_url": "data:image/png;base64," + RED64},
            {"type": "input_image", "image_url": "red.png"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": RED64}},
            {"image": "red.png"},
            {"img": "red.png"},
        ],
        ids=lambda part: "-".join(part),
    )
    @pytest.mark.parametrize("answer", ["circle", [{"type": "text", "text": "circle"}]], ids=["text", "parts"])
    def test_a_part_that_names_a_picture_shows_it(self, part: dict[str, Any], answer: Any, folder: Path) -> None:
        messages = [asked(part, TEXT), {"role": "assistant", "content": answer}]
        for rows in both_ways(rows_file(folder, {"messages": messages})):
            assert [colours(row) for row in rows] == [["red"]]
            assert placeholders(rows[0]) == 1

    def test_parts_in_system_and_later_turns_keep_their_order(self, folder: Path) -> None:
        show = [{"type": "image", "image": f"{colour}.png"} for colour in ("red", "green", "blue")]
        system = {"role": "system", "content": [show[0], {"type": "text", "text": "look"}]}
        messages = [system, asked(show[1], TEXT), ANSWER, asked(TEXT, show[2]), ANSWER]
        for rows in both_ways(rows_file(folder, {"messages": messages})):
            assert colours(rows[0]) == ["red", "green", "blue"]

    def test_pictures_of_a_message_come_before_its_text(self, folder: Path) -> None:
        message = {"role": "user", "content": "what ?", "images": ["red.png", "green.png"]}
        for rows in both_ways(rows_file(folder, {"messages": [message, ANSWER]})):
            assert colours(rows[0]) == ["red", "green"]
            assert [part["type"] for part in rows[0]["messages"][0]["content"]] == ["image", "image", "text"]

    def test_some_rows_have_them_in_parts_and_others_in_a_column(self, folder: Path) -> None:
        in_parts = {"messages": [asked({"type": "image", "image": "red.png"}, TEXT), ANSWER]}
        in_column = {"messages": [{"role": "user", "content": "what ?"}, ANSWER], "images": ["green.png"]}
        neither = {"messages": [{"role": "user", "content": "what ?"}, ANSWER]}
        for rows in both_ways(rows_file(folder, in_parts, in_column, neither)):
            assert [colours(row) for row in rows] == [["red"], ["green"], []]

    def test_bare_parts_take_theirs_from_the_column(self, folder: Path) -> None:
        parts = asked({"type": "image"}, {"type": "image", "image": "red.png"}, {"type": "image"}, TEXT)
        for rows in both_ways(rows_file(folder, {"messages": [parts, ANSWER], "images": ["green.png", "blue.png"]})):
            assert colours(rows[0]) == ["green", "red", "blue"]

    def test_the_same_picture_in_part_and_column_is_shown_once(self, folder: Path) -> None:
        row = {"messages": [asked({"type": "image", "image": "red.png"}, TEXT), ANSWER]}
        for rows in both_ways(rows_file(folder, {**row, "images": ["red.png"]})):
            assert colours(rows[0]) == ["red"]
        path = rows_file(folder, {**row, "images": ["green.png"]})
        with pytest.raises(DataError, match=r"rows.jsonl row 1: 1 of 1 image parts name their picture, .* hold 1"):
            read_dataset(path)

    def test_contents_of_texts_and_untyped_parts_are_text(self, folder: Path) -> None:
        rows = {"image": "red.png", "messages": [asked("what is", {"text": "red ?"}), ANSWER]}
        for read in both_ways(rows_file(folder, rows)):
            content = read[0]["messages"][0]["content"]
            assert [part.get("text") for part in content] == [None, "what is", "red ?"]

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ([{"type": "video", "video": "a.mp4"}, TEXT], "row 1: .* got a part of video"),
            ([{"type": "input_audio", "data": "x"}, TEXT], "row 1: .* got a part of input_audio"),
            ([{"type": "image", "image": {"im": 1}}, TEXT], "row 1: expected a picture as a record .* got one with im"),
            ([{"type": "image", "image": "red.png", "url": "green.png"}], "row 1: .* got several: image, url"),
            ([{"image": "red.png", "text": "what ?"}], "row 1: expected a picture or a text in a part, got both"),
            ([{"type": "document", "file": "a.pdf"}], "row 1: .* got one of type document with file"),
            ([{"type": "image", "image": "none.png"}], "row 1: image 'none.png' not found"),
        ],
    )
    def test_other_parts_are_refused_by_row(self, parts: list[Any], message: str, folder: Path) -> None:
        path = rows_file(folder, {"messages": [asked(*parts), ANSWER]})
        with pytest.raises(DataError, match=message):
            read_dataset(path)
        with pytest.raises(DataError, match=message):
            list(stream_dataset(path))

    def test_preference_rows_show_the_pictures_of_their_prompt(self, folder: Path) -> None:
        show = asked({"type": "image", "image": "red.png"}, TEXT)
        worse = {"role": "assistant", "content": "square"}
        prompted = {"prompt": [show], "chosen": [ANSWER], "rejected": [worse]}
        whole = {"chosen": [show, ANSWER], "rejected": [show, worse]}
        for row in (prompted, whole):
            path = rows_file(folder, row)
            for read in (read_dataset, stream_dataset):
                (one,) = preference_rows(read(path), str(path)).dataset
                assert colours(one) == ["red"]
                assert placeholders(one, "prompt") == 1

    def test_pictures_in_an_answer_or_of_one_answer_alone_are_refused(self, folder: Path) -> None:
        drawn = [{"role": "assistant", "content": [{"type": "image", "image": "red.png"}]}]
        user = [{"role": "user", "content": "draw"}]
        with pytest.raises(DataError, match="row 1: expected pictures in the prompt alone, got 1 in completion"):
            read_dataset(rows_file(folder, {"prompt": user, "completion": drawn}))
        shows = [[asked({"type": "image", "image": f"{one}.png"}, TEXT), ANSWER] for one in ("red", "green")]
        with pytest.raises(DataError, match="row 1: expected the same pictures .* got others in rejected"):
            read_dataset(rows_file(folder, {"chosen": shows[0], "rejected": shows[1]}))

    def test_pictures_in_memory_are_read_from_parts(self) -> None:
        for value in (Image.new("RGB", (4, 4), "red"), encoded("red")):
            messages = [asked({"type": "image", "image": value}, TEXT), asked(TEXT)]
            messages[1]["role"] = "assistant"
            rows = sft_rows(datasets.Dataset.from_list([{"messages": messages}]), "the dataset").dataset
            assert colours(rows[0]) == ["red"]


class TestColumns:
    @pytest.mark.parametrize(
        "column", ["img", "image_path", "image_file", "picture", "photo", "image_1", "image0", "pic"]
    )
    @pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
    def test_the_only_column_of_pictures_is_read_whatever_its_name(
        self, column: str, suffix: str, folder: Path
    ) -> None:
        rows = [{column: "red.png", **VQA}, {column: "green.png", **VQA}]
        path = folder / f"rows{suffix}"
        if suffix in (".csv", ".tsv"):
            datasets.Dataset.from_list(rows).to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
        elif suffix == ".parquet":
            datasets.Dataset.from_list(rows).to_parquet(path)
        else:
            path.write_text(json.dumps(rows) if suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows))
        assert [colours(row) for row in sft_rows(read_dataset(path), str(path)).dataset] == [["red"], ["green"]]

    @pytest.mark.parametrize("name", ["imgs", "pictures", "views"])
    def test_so_is_a_column_of_lists(self, name: str, folder: Path) -> None:
        for rows in both_ways(rows_file(folder, {name: ["red.png", "green.png"], **VQA})):
            assert colours(rows[0]) == ["red", "green"]

    def test_pictures_inside_tables_are_told_by_their_type_and_bytes(self, folder: Path) -> None:
        of_type = datasets.Dataset.from_list([{"scan": str(folder / "red.png"), **VQA}])
        of_type = of_type.cast_column("scan", datasets.Image())
        of_bytes = datasets.Dataset.from_list([{"scan": encoded("red"), **VQA}])
        for dataset in (of_type, of_bytes):
            dataset.to_parquet(folder / "rows.parquet")
            for rows in both_ways(folder / "rows.parquet"):
                assert colours(rows[0]) == ["red"]
            assert colours(sft_rows(dataset, "the dataset").dataset[0]) == ["red"]

    def test_numbered_columns_are_shown_in_their_order_the_empty_ones_left_out(self, folder: Path) -> None:
        two = {"image_2": "green.png", "image_1": "red.png", **VQA}
        three = {"image_10": "blue.png", "image_1": "green.png", **VQA}
        for rows in both_ways(rows_file(folder, two, three)):
            assert [colours(row) for row in rows] == [["red", "green"], ["green", "blue"]]
        for rows in both_ways(rows_file(folder, {"image_2": "green.png", "image": "red.png", **VQA})):
            assert colours(rows[0]) == ["red", "green"]

    def test_an_empty_images_hides_no_image(self, folder: Path) -> None:
        path = rows_file(folder, {"image": "red.png", "images": [], **VQA}, {"images": ["green.png"], **VQA}, VQA)
        for rows in both_ways(path):
            assert [colours(row) for row in rows] == [["red"], ["green"], []]

    def test_another_column_fills_the_gaps_of_image(self, folder: Path) -> None:
        for rows in both_ways(rows_file(folder, {"image": "red.png", **VQA}, {"img": "green.png", **VQA})):
            assert [colours(row) for row in rows] == [["red"], ["green"]]

    def test_two_answers_to_which_picture_are_refused(self, folder: Path) -> None:
        with pytest.raises(DataError, match="row 1: expected its pictures in image or in images, got others in both"):
            read_dataset(rows_file(folder, {"image": "red.png", "images": ["green.png"], **VQA}))
        with pytest.raises(DataError, match="the columns img, photo hold pictures, .* Rename the one to use to image"):
            read_dataset(rows_file(folder, {"img": "red.png", "photo": "green.png", **VQA}))

    def test_a_named_picture_that_is_not_there_is_no_text(self, folder: Path) -> None:
        with pytest.raises(DataError, match="rows.jsonl row 2: image 'gone.png' not found"):
            read_dataset(rows_file(folder, {"img": "red.png", **VQA}, {"img": "gone.png", **VQA}))

    def test_columns_that_only_tell_of_pictures_stay(self, folder: Path) -> None:
        row = {"image_id": 7, "caption_of_image": "a red circle.", "id": "red.png", **VQA}
        assert read_dataset(rows_file(folder, row)).column_names == list(row)
        used = {"image": "red.png", "image_path": "elsewhere/red.png", **VQA}
        assert colours(read_dataset(rows_file(folder, used))[0]) == ["red"]

    @pytest.mark.parametrize("key", ["url", "src", "file_name", "image", "path"])
    def test_records_name_their_picture_by_any_of_the_usual_keys(self, key: str, folder: Path) -> None:
        for rows in both_ways(rows_file(folder, {"image": {key: "red.png"}, **VQA})):
            assert colours(rows[0]) == ["red"]

    def test_base64_in_a_record_of_bytes_is_decoded(self, folder: Path) -> None:
        for rows in both_ways(rows_file(folder, {"image": {"bytes": RED64, "path": None}, **VQA})):
            assert colours(rows[0]) == ["red"]

    def test_a_record_of_other_keys_is_refused_by_them(self, folder: Path) -> None:
        with pytest.raises(DataError, match="row 1: expected a picture as a record .* got one with where"):
            read_dataset(rows_file(folder, {"image": {"where": "red.png"}, **VQA}))

    def test_nothing_is_no_picture(self, folder: Path) -> None:
        for empty in ({"image": ""}, {"image": None}, {"image": {"bytes": None, "path": None}}):
            for rows in both_ways(rows_file(folder, {"image": "red.png", **VQA}, {**empty, **VQA})):
                assert [colours(row) for row in rows] == [["red"], []]
        for rows in both_ways(rows_file(folder, {"images": ["red.png"], **VQA}, {"images": [None], **VQA})):
            assert [colours(row) for row in rows] == [["red"], []]

    def test_lists_of_lists_are_flat(self, folder: Path) -> None:
        for rows in both_ways(rows_file(folder, {"images": [["red.png"], ["green.png"]], **VQA})):
            assert colours(rows[0]) == ["red", "green"]

    def test_file_addresses_are_paths(self, folder: Path) -> None:
        for rows in both_ways(rows_file(folder, {"image": f"file://{folder}/red.png", **VQA})):
            assert colours(rows[0]) == ["red"]

    def test_a_check_counts_what_is_missing_in_parts_too(self, folder: Path) -> None:
        path = rows_file(folder, {"messages": [asked({"type": "image", "image": "gone.png"}, TEXT), ANSWER]})
        found = read_dataset(path, pictures=PictureAccess(keep_missing=True))
        assert found.data.column("images")[0].as_py()[0]["path"] == str(folder / "gone.png")


@pytest.mark.parametrize("content", [["what?"], [5], [None, {"type": "text", "text": "what?"}]])
def test_messages_with_a_part_that_is_no_record_stay_as_they_are(content: list[Any]) -> None:
    messages = [{"role": "user", "content": content}]
    assert in_front(messages, 1) == messages


def test_a_text_among_messages_stays_as_it_is_beside_rows_whose_parts_name_pictures(folder: Path) -> None:
    named = [asked({"type": "image", "image": "red.png"}, TEXT), ANSWER]
    for odd in (["what?"], [{"role": "user", "content": "what?"}, "red"]):
        rows = read_dataset(rows_file(folder, {"messages": named}, {"messages": odd}))
        assert rows[1]["messages"][-1] == odd[-1]
