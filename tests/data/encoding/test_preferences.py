"""Preference rows: a pair per rejected answer, other pictures, and what is refused, with its row and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, IterableDataset
from PIL import Image

from sightline.data.encoding.checks import check_rows
from sightline.data.encoding.preferences import (
    answer_pairs,
    is_list_of_answers,
    require_trainable_lists,
    with_rejected_images,
)
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats.columns import to_preference_columns
from sightline.data.pictures.augmentation import Blank, Crop
from sightline.data.pictures.images import ChangedImage, open_image, rejected_images, stored_key
from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError
from sightline.training.sharing import prepared
from tests.tiny import picture, preference_rows, tiny_processor


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def with_answers(row: dict[str, Any], *answers: str) -> dict[str, Any]:
    return {**row, "rejected": [said(answer) for answer in answers]}


def check(rows: list[dict[str, Any]]) -> int:
    """The longest sequence of the rows, as the row check finds it."""
    import datasets

    dataset = Dataset.from_list(rows)
    for column in {"images", "rejected_images"} & set(dataset.column_names):
        dataset = dataset.cast_column(column, datasets.List(datasets.Image(decode=False)))
    encoder = SequenceEncoder(tiny_processor(), EncodingSettings())
    return check_rows(dataset, "train.jsonl", encoder, preferences=True).longest


@pytest.mark.parametrize(
    ("rejected", "several"),
    [("red", False), (["red", "blue"], True), (said("red"), False), ([said("red"), said("blue")], True), ([], True)],
)
def test_a_list_of_answers_is_told_from_a_list_of_messages(rejected: Any, several: bool) -> None:
    assert is_list_of_answers(rejected) is several


def test_a_row_stands_once_for_each_rejected_answer_and_one_answer_leaves_it_as_it_is() -> None:
    row = {"prompt": "what ?", "chosen": "red", "rejected": ["blue", "green"]}
    assert [pair["rejected"] for pair in answer_pairs(row, "row 1")] == ["blue", "green"]
    single = {"prompt": "what ?", "chosen": "red", "rejected": "blue"}
    assert answer_pairs(single, "row 1") == [single]


def test_a_batch_holds_all_chosen_then_all_rejected_then_the_chosen_under_other_images() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "<image> what ?", "chosen": "red", "rejected": ["blue", "green"], "images": [picture(0, 64)]},
        {"prompt": "<image> what ?", "chosen": "large", "rejected": "small", "images": [picture(1, 64)]},
    ]
    processor = tiny_processor()
    batch = SequenceEncoder(processor, EncodingSettings(perturbation=Blank())).encode_preferences(rows)
    answers = [processor.tokenizer.decode(sequence.ids_L[sequence.scored_L]) for sequence in batch.sequences]
    assert answers == ["red", "red", "large", "blue", "green", "small", "red", "red", "large"]
    shown = [sequence.images for sequence in batch.sequences]
    assert shown[:3] == shown[3:6] and shown[0] == shown[1] != shown[2]
    assert shown[6] == shown[7] == shown[8], "blanks of one size are one picture"
    assert shown[6] not in shown[:3]


def test_a_row_that_brings_rejected_images_is_shown_them() -> None:
    row = {"images": ["a.png"], "rejected_images": ["b.png"]}
    assert with_rejected_images(row, Blank(), "row 1") == {"images": ["b.png"]}
    assert rejected_images({"rejected_images": "b.png"}) == ["b.png"]


class TestCrop:
    """A part of the picture, of the picture's size, the same for the same seed and pixels."""

    def test_it_is_seeded_by_seed_and_pixels(self) -> None:
        image, other = picture(0, 64), picture(1, 64)
        crops = [Crop(0.05, 0.2, seed)(image).tobytes() for seed in (1, 1, 2)]
        assert crops[0] == crops[1] != crops[2]
        assert Crop(0.05, 0.2, 1)(image.copy()).tobytes() == crops[0] != Crop(0.05, 0.2, 1)(other).tobytes()

    def test_it_keeps_the_size_and_shows_a_share_of_the_area_within_its_bounds(self) -> None:
        """Each pixel holds its own place, so the span of places that a crop shows is the span of the part."""
        places = np.stack(np.meshgrid(np.arange(200), np.arange(100)), axis=-1).astype(np.uint8)
        image = Image.fromarray(np.concatenate([places, np.zeros((100, 200, 1), np.uint8)], axis=-1))
        for seed in range(30):
            crop = Crop(0.1, 0.2, seed)(image)
            assert crop.size == image.size
            shown = np.asarray(crop, dtype=int)
            width, height = (int(np.ptp(shown[..., axis])) + 1 for axis in (0, 1))
            assert 0.09 <= width * height / 20_000 <= 0.22
            assert 0.7 <= width / height <= 1.43

    def test_an_empty_share_still_shows_a_pixel(self) -> None:
        assert Crop(0.0, 0.0, 1)(picture(0, 8)).size == (8, 8)


def test_a_changed_image_opens_changed_and_has_a_key_of_its_own() -> None:
    image = picture(0, size=24)
    changed = ChangedImage(image, Blank())
    assert np.ptp(np.asarray(open_image(changed, "row 1"))) == 0
    assert open_image(changed, "row 1").size == (24, 24)
    keys = [stored_key(value) for value in (image, changed, ChangedImage(image, Crop(0.0, 0.2, 1)))]
    assert len(set(keys)) == 3
    again, other = (stored_key(ChangedImage(image, Crop(0.0, 0.2, seed))) for seed in (1, 2))
    assert keys[2] == again != other


class TestTheRowCheck:
    """What is refused, by file and row."""

    def test_lists_and_rejected_images_that_fit_are_taken(self) -> None:
        rows = [with_answers(row, "blue", "green and a small circle") for row in preference_rows(3, 2)]
        assert check(rows) == check(answer_pairs(rows[0], "") + answer_pairs(rows[1], "") + answer_pairs(rows[2], ""))
        assert check([{**row, "rejected_images": [picture(5)]} for row in rows]) > 0

    def test_an_empty_list(self) -> None:
        rows = [with_answers(row, "blue") for row in preference_rows(2, 2)]
        rows[1]["rejected"] = []
        with pytest.raises(DataError, match="train.jsonl row 2: expected at least one rejected answer, got an empty"):
            check(rows)

    def test_a_rejected_answer_that_is_the_chosen_one(self) -> None:
        rows = preference_rows(2, 2)
        rows[1]["chosen"] = said("red circle")
        rows[1]["rejected"] = said("red circle")
        with pytest.raises(DataError, match="train.jsonl row 2: expected a rejected answer that differs .* 'red"):
            check(rows)

    def test_one_of_several_rejected_answers_that_is_the_chosen_one(self) -> None:
        rows = [with_answers({**row, "chosen": said("red")}, "blue", "red") for row in preference_rows(1, 1)]
        with pytest.raises(DataError, match="row 1: expected a rejected answer that differs"):
            check(rows)

    def test_the_same_answer_under_other_images_is_a_pair(self) -> None:
        rows = preference_rows(1, 1)
        assert check([{**row, "rejected": row["chosen"], "rejected_images": [picture(5)]} for row in rows]) > 0

    def test_more_rejected_images_than_images(self) -> None:
        rows = [{**row, "rejected_images": [picture(5), picture(6)]} for row in preference_rows(1, 1)]
        with pytest.raises(DataError, match="row 1: expected as many rejected_images as images, 1, got 2. Give one"):
            check(rows)

    def test_an_unreadable_rejected_image(self) -> None:
        rows = [{**row, "rejected_images": [{"bytes": b"no picture", "path": None}]} for row in preference_rows(1, 1)]
        with pytest.raises(DataError, match="train.jsonl row 1: the image .* is no picture"):
            check(rows)


class TestListsThatCannotBeTrained:
    def test_without_images(self) -> None:
        rows = [{"prompt": "what ?", "chosen": "red", "rejected": ["blue"]}]
        with pytest.raises(DataError, match="since there are no images; got a list of answers. Repeat the row"):
            require_trainable_lists(Dataset.from_list(rows), "the dataset", processes=1)

    def test_uneven_lists_over_several_processes(self) -> None:
        rows = [with_answers(row, *"ab"[: index + 1]) for index, row in enumerate(preference_rows(2, 2))]
        dataset = Dataset.from_list(rows)
        require_trainable_lists(dataset, "the dataset", processes=1)
        with pytest.raises(DataError, match="since 2 processes train; got 1 to 2. Even them out"):
            require_trainable_lists(dataset, "the dataset", processes=2)
        require_trainable_lists(Dataset.from_list(preference_rows(2, 2)), "the dataset", processes=2)

    def test_streamed_lists_over_several_processes(self) -> None:
        rows = [with_answers(row, "a", "b") for row in preference_rows(2, 2)]
        streamed = IterableDataset.from_generator(lambda: iter(rows))
        with pytest.raises(DataError, match="since 2 processes stream the rows"):
            require_trainable_lists(streamed, "the dataset", processes=2)


def test_the_rows_that_the_docs_show_are_taken(root: Path, tmp_path: Path) -> None:
    shown = re.findall(r"```json\n(.*?)```", (root / "docs" / "alignment.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(shown) == 5
    for name in ("cat.png", "dog.png"):
        picture(ord(name[0])).save(tmp_path / name)
    for index, text in enumerate(shown):
        file = tmp_path / f"{index}.jsonl"
        file.write_text(json.dumps(json.loads(text)) + "\n", encoding="utf-8")
        rows = prepared(to_preference_columns(read_dataset(file), str(file)), to_preference_columns)
        encoder = SequenceEncoder(tiny_processor(), EncodingSettings())
        assert len(check_rows(rows, str(file), encoder, preferences=True)) == 1
