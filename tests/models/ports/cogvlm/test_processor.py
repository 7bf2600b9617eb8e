"""Images become the authors' pixels and texts their ids and types; prompts are theirs to the letter."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.models.ports.cogvlm.config import CogVLMConfig
from sightline.models.ports.cogvlm.processor import CogVLMImageProcessor, CogVLMProcessor
from sightline.models.ports.cogvlm.templates import chat_template
from sightline.models.published.sentencepiece import read_llama_tokenizer
from tests.models.ports.cogvlm.tiny_cogvlm import write_vocabulary
from tests.tiny import picture

USER, ASSISTANT = "user", "assistant"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "tokenizer.model"
    write_vocabulary(path)
    return read_llama_tokenizer(path)


@pytest.fixture(scope="module")
def processor(tokenizer):
    return CogVLMProcessor(CogVLMImageProcessor(), tokenizer, chat_template=chat_template("chat"))


def turns(*texts: str, image: bool = True) -> list[dict]:
    said = [
        {"role": (USER, ASSISTANT)[at % 2], "content": [{"type": "text", "text": text}]}
        for at, text in enumerate(texts)
    ]
    return [{**said[0], "content": [{"type": "image"}, *said[0]["content"]]}, *said[1:]] if image else said


def test_pixels_are_squashed_in_pillow_and_normed_by_clip(processor):
    image = picture(0, 70)
    found = processor(images=image, text="", return_tensors="pt")["pixel_values"]
    squashed = np.asarray(image.resize((490, 490), Image.Resampling.BICUBIC)) / 255
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    expected = torch.from_numpy(((squashed - mean) / deviation).transpose(2, 0, 1)).float()
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-5)


def test_a_prompt_is_start_1227_paddings_of_type_1_and_words_of_type_0(processor, tokenizer):
    text = "Question: What is this? Answer:"
    words = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(words)[0].startswith("▁")
    for written in (text, f"<s>{text}"):  # as a text, and as templates write it
        found = processor(images=picture(0, 30), text=written, add_special_tokens=False)
        assert found["input_ids"] == [[1, *[0] * 1227, *words]]
        assert found["token_type_ids"] == [[0, *[1] * 1227, *[0] * len(words)]]
        assert found["attention_mask"] == [[1] * (1228 + len(words))]


def test_a_text_alone_begins_with_the_start_token_where_it_is_asked_for_or_written(processor, tokenizer):
    words = tokenizer("What is this?", add_special_tokens=False)["input_ids"]
    assert processor(text="What is this?")["input_ids"] == [[1, *words]]
    assert processor(text="<s>What is this?", add_special_tokens=False)["input_ids"] == [[1, *words]]
    assert processor(text="What is this?", add_special_tokens=False)["input_ids"] == [words]
    assert processor(text="What is this?")["token_type_ids"] == [[0] * (1 + len(words))]


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_are_padded_with_types_and_mask(processor, side):
    found = processor(
        images=[[picture(0, 30)], []],
        text=["<s>a", "<s>what is it"],
        padding=True,
        padding_side=side,
        return_tensors="pt",
    )
    mask = found["attention_mask"].bool()
    assert found["input_ids"].shape == found["token_type_ids"].shape == mask.shape
    assert found["token_type_ids"][0].sum() == 1227 and not found["token_type_ids"][1].any()
    pads = ~mask[1]
    assert (found["input_ids"][1][pads] == 0).all() and bool(pads[0]) == (side == "left")
    assert found["pixel_values"].shape == (1, 3, 490, 490)


def test_more_images_than_one_a_text_are_refused(processor):
    with pytest.raises(ValueError, match="expected one image a text, got 2"):
        processor(images=[[picture(0, 30), picture(1, 30)]], text=["a"])
    with pytest.raises(ValueError, match="expected the images of 2 texts, got those of 1"):
        processor(images=[picture(0, 30)], text=["a", "b"])


@pytest.mark.parametrize(
    ("version", "mode", "said", "expected"),
    [
        ("chat", None, ["What is it?"], "<s>Question: What is it? Answer:"),
        ("chat", None, ["A?", "B", "C?"], "<s>Question: A? Answer: B\nQuestion: C? Answer:"),
        ("chat", "vqa", ["What is it?"], "<s>Question: What is it? Short answer:"),
        ("base", None, ["The image depicts:"], "<s>The image depicts:"),
        ("base", None, [""], "<s>"),
    ],
)
def test_prompts_are_those_of_the_authors(tokenizer, version, mode, said, expected):
    processor = CogVLMProcessor(CogVLMImageProcessor(), tokenizer, chat_template=chat_template(version))
    settings = {"mode": mode} if mode else {}
    for image in (True, False):
        assert (
            processor.apply_chat_template(turns(*said, image=image), add_generation_prompt=True, **settings) == expected
        )


def test_answers_of_training_end_with_the_end_token_and_those_before_with_a_newline(processor):
    found = processor.apply_chat_template(turns("A?", "B", "C?", "D"))
    assert found == "<s>Question: A? Answer: B\nQuestion: C? Answer: D</s>"


@pytest.mark.parametrize(
    ("version", "mode", "messages", "told"),
    [
        ("chat", None, [{"role": "system", "content": "Be brief."}, *turns("A?")], "no place for .* the role system"),
        ("chat", "vqa", turns("A?", "B", "C?"), "vqa takes one question"),
        ("base", None, turns("A?", "B", "C?"), "reads one text"),
    ],
)
def test_what_has_no_place_in_a_prompt_is_refused(tokenizer, version, mode, messages, told):
    processor = CogVLMProcessor(CogVLMImageProcessor(), tokenizer, chat_template=chat_template(version))
    with pytest.raises(Exception, match=told):
        processor.apply_chat_template(messages, add_generation_prompt=True, **({"mode": mode} if mode else {}))


def test_an_image_has_as_many_tokens_as_the_config_says():
    default = inspect.signature(CogVLMProcessor).parameters["image_tokens"].default
    assert CogVLMConfig().image_tokens == default
