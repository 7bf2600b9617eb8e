"""Problems of rows are told from the first row on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from sightline.data.encoding.checks import check_rows
from sightline.data.encoding.lengths import read_rows, require_fitting
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats import sft_rows
from sightline.data.pictures.columns import close_images
from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError, InputError
from tests.families.tiny_families import qwen2_vl
from tests.tiny import tiny_processor


def test_the_first_bad_pictures_are_named_and_not_the_last(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_text("no picture")
    path = tmp_path / "rows.jsonl"
    rows = [{"image": f"{number}.png", "question": "what ?", "answer": "a"} for number in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = SequenceEncoder(tiny_processor(), EncodingSettings())
    with pytest.raises(DataError) as caught:
        check_rows(sft_rows(read_dataset(path), str(path)).dataset, str(path), encoder, preferences=False)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines[:10]] == [f"rows.jsonl row {number}" for number in range(1, 11)]
    assert lines[10] == "... and 2 more rows."


@pytest.mark.parametrize("skip", [False, True])
def test_a_picture_of_a_size_that_the_processor_refuses_is_an_error_of_its_row(tmp_path: Path, skip: bool) -> None:
    for name, size in (("strip", (6000, 20)), ("square", (64, 64))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    path = tmp_path / "rows.jsonl"
    rows = [{"image": f"{name}.png", "question": "what ?", "answer": "a"} for name in ("square", "strip", "square")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = close_images(sft_rows(read_dataset(path), str(path)).dataset)
    encoder = SequenceEncoder(qwen2_vl()[1], EncodingSettings())
    message = (
        r"row 2.*: the processor takes no image of 6000 x 20 pixels: absolute aspect ratio must be smaller than 200"
    )
    if skip:
        found = check_rows(dataset, str(path), encoder, preferences=False, skip_bad_rows=True)
        assert list(found.problems) == [1] and re.search(message, found.problems[1])
        return
    with pytest.raises(DataError, match=message):
        check_rows(dataset, str(path), encoder, preferences=False)
    with pytest.raises(DataError, match=message):
        encoder.encode_sft(list(dataset))
    with pytest.raises(DataError, match=message):
        require_fitting(read_rows(dataset, str(path), encoder, preferences=False))


def test_what_is_wrong_with_the_model_is_no_error_of_its_rows(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"image": "a.png", "question": "what ?", "answer": "a"}) + "\n")
    dataset = close_images(sft_rows(read_dataset(path), str(path)).dataset)
    processor = qwen2_vl()[1]
    processor.tokenizer.pad_token = None
    encoder = SequenceEncoder(processor, EncodingSettings())
    with pytest.raises(InputError, match=r"^The model's tokenizer has no padding token"):
        check_rows(dataset, str(path), encoder, preferences=False, skip_bad_rows=True)
    with pytest.raises(InputError, match=r"^The model's tokenizer has no padding token"):
        encoder.encode_sft(list(dataset))
