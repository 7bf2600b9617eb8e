"""Settings of processors are those that their own classes take; others are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen2VLImageProcessor

from sightline.data.encoding.prompts import render_prompt
from sightline.errors import ConfigError, InputError
from sightline.models.processor_settings import _image_settings, fitted_processor, read_processor, with_settings
from sightline.settings.loading import LoadingOptions
from sightline.types import Question
from tests.tiny import TEMPLATE, picture, tiny_processor


def test_a_setting_changes_the_pixels_and_nothing_else() -> None:
    before = tiny_processor()
    after = with_settings(before, {"do_normalize": False}, "m")
    prompt = {"text": "<image> what ?", "images": [picture(0)], "return_tensors": "pt"}
    was, now = before(**prompt), after(**prompt)
    assert was["input_ids"].tolist() == now["input_ids"].tolist()
    assert now["pixel_values"].min() >= 0 > was["pixel_values"].min()
    assert after.chat_template == before.chat_template == TEMPLATE
    assert after.patch_size == before.patch_size
    assert before.image_processor.do_normalize  # the one that was given is as it was


def test_a_setting_of_the_processor_around_the_images_counts_too() -> None:
    assert with_settings(tiny_processor(), {"vision_feature_select_strategy": "full"}, "m").patch_size == 8
    assert with_settings(tiny_processor(), {"num_additional_image_tokens": 3}, "m").num_additional_image_tokens == 3


def test_a_setting_that_the_processor_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match=r"max_pixels: the processor of m .* it has crop_size, .*size"):
        with_settings(tiny_processor(), {"max_pixels": 4}, "m")
    with pytest.raises(ConfigError, match="Did you mean 'do_resize'"):
        with_settings(tiny_processor(), {"do_rezise": False}, "m")


@pytest.mark.parametrize("size", [{"height": 3}, 0, "wide", -4])
def test_a_value_that_the_class_does_not_take_is_one_line(size: Any) -> None:
    with pytest.raises(InputError, match="m"):
        with_settings(tiny_processor(), {"size": size}, "m")


def test_names_that_only_other_classes_read_are_no_settings() -> None:
    assert {"min_pixels", "max_pixels", "merge_size", "size"} <= _image_settings(Qwen2VLImageProcessor())
    assert not {"pad_size", "crop_size", "device", "return_tensors"} & _image_settings(Qwen2VLImageProcessor())


def test_a_template_from_a_file_is_that_of_the_processor(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text("{% for message in messages %}Q {{ message['content'][0]['text'] }} A{% endfor %}")
    fitted = fitted_processor(tiny_processor(), LoadingOptions(chat_template=str(path)), "m")
    assert render_prompt(fitted, Question("what ?")).text == "Q what ? A"


def test_a_tokenizer_that_is_brought_takes_the_place_of_the_folders_own(tmp_path: Path) -> None:
    model, words, made = tmp_path / "model", tmp_path / "words", tiny_processor()
    made.save_pretrained(model)
    (model / "config.json").write_text('{"model_type": "llava"}')
    made.tokenizer.add_tokens(["purple"])
    made.tokenizer.save_pretrained(words)
    own = read_processor(str(model), None, LoadingOptions())
    brought = read_processor(str(model), None, LoadingOptions(tokenizer=str(words)))
    assert len(brought.tokenizer) == len(own.tokenizer) + 1 and brought.chat_template == own.chat_template
    assert brought.image_processor.to_dict() == own.image_processor.to_dict()
    for folder, message in (("vicuna", "there is no folder vicuna"), (str(tmp_path), "holds no tokenizer")):
        with pytest.raises(InputError, match=message):
            read_processor(str(model), None, LoadingOptions(tokenizer=folder))
