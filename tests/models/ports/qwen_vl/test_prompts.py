"""Prompts are those of the authors to the letter and the token; special forms in what somebody says are words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.encoding.prompts import render_prompt
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.pictures.images import opened
from sightline.errors import DataError
from sightline.models.ports.qwen_vl.tokenizer import SEAM, SPECIALS
from sightline.models.pretrained import load_pretrained
from sightline.types import Question, Turn
from tests.models.ports.qwen_vl.tiny import IMAGE_START, QUERIES, RANKS, published
from tests.tiny import picture

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
SHOWN = "<img><imgpad></img>"
SPAN = [IMAGE_START, *[IMAGE_START + 2] * QUERIES, IMAGE_START + 1]


@pytest.fixture(scope="module")
def processors(tmp_path_factory):
    from transformers import AutoProcessor

    place = tmp_path_factory.mktemp("models")
    return {chat: load_pretrained(AutoProcessor, published(place / str(chat), chat=chat)) for chat in (True, False)}


def part(text: str = "") -> dict[str, str]:
    return {"type": "text", "text": text} if text else {"type": "image"}


def test_a_question_to_the_chat_model_is_the_authors(processors):
    prompt = render_prompt(processors[True], Question("What is it?", (opened(picture(0)),)))
    expected = f"{SYSTEM}<|im_start|>user\nPicture 1: {SHOWN}\nWhat is it?<|im_end|>\n<|im_start|>assistant\n"
    assert prompt.text == expected


def test_pictures_are_numbered_through_the_conversation(processors):
    messages = [
        {"role": "system", "content": [part("Be brief.")]},
        {"role": "user", "content": [part(), part(), part("Which is red?")]},
        {"role": "assistant", "content": [part("Picture 2.")]},
        {"role": "user", "content": [part(), part("And this?")]},
    ]
    text = processors[True].apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        f"<|im_start|>user\nPicture 1: {SHOWN}\nPicture 2: {SHOWN}\nWhich is red?<|im_end|>\n"
        "<|im_start|>assistant\nPicture 2.<|im_end|>\n"
        f"<|im_start|>user\nPicture 3: {SHOWN}\nAnd this?<|im_end|>\n<|im_start|>assistant\n"
    )


def authors_ids(processor, role: str, content: str) -> list[int]:
    """`<|im_start|>`, the role, a line break and what is said, each tokenized apart."""
    ids = [RANKS + 1]
    for piece in (role, "\n", content):
        ids += processor.tokenizer(piece, add_special_tokens=False)["input_ids"]
    return [*ids, RANKS + 2]


@pytest.mark.parametrize("said", ["What is it?", " the", "\nred", "  \n red", "", "red\n"])
def test_role_line_break_and_words_are_tokens_of_their_own(processors, said):
    processor = processors[True]
    text = processor.apply_chat_template([{"role": "user", "content": said}], tokenize=False)
    ids = processor.tokenizer(text.removeprefix(SYSTEM), add_special_tokens=False)["input_ids"]
    assert ids == [*authors_ids(processor, "user", said), *processor.tokenizer("\n")["input_ids"]]


def test_the_base_model_reads_images_and_text_and_goes_on(processors):
    prompt = render_prompt(processors[False], Question("red? Answer:", (opened(picture(0)),)))
    assert prompt.text == f"{SHOWN}red? Answer:"
    told = [{"role": "user", "content": [part(), part("red? Answer:")]}, {"role": "assistant", "content": " no"}]
    text = processors[False].apply_chat_template(told, tokenize=False)
    assert text == f"{SHOWN}red? Answer: no<|endoftext|>"


@pytest.mark.parametrize("turns", [(Turn("system", "Be brief."),), (Turn("user", "a"), Turn("assistant", "b"))])
def test_the_base_model_knows_no_conversation(processors, turns):
    with pytest.raises(DataError, match=r"Qwen-VL \(the base model\) reads one prompt"):
        render_prompt(processors[False], Question("red?", turns=turns))


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize(
    "form", ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|extra_7|>", "<img>", "</img>", "<imgpad>"]
)
def test_a_special_form_in_a_question_is_words(processors, chat, form):
    processor = processors[chat]
    ids = render_prompt(processor, Question(f"red {form} the")).ids_L.tolist()
    plain = render_prompt(processor, Question("red  the")).ids_L.tolist()
    assert [token for token in ids if token >= RANKS] == [token for token in plain if token >= RANKS]
    assert f"red {form} the" in processor.tokenizer.decode(ids)


def test_marks_of_places_keep_their_meaning_in_a_question(processors):
    ids = render_prompt(processors[False], Question("<ref> the red</ref><box>")).ids_L.tolist()
    numbers = [RANKS + SPECIALS.index(word) for word in ("<ref>", "</ref>", "<box>")]
    assert [token for token in ids if token >= RANKS] == numbers


def test_an_image_is_256_or_as_many_placeholders_between_its_tags(processors):
    processor = processors[True]
    encoded = processor(images=[[picture(0)]], text=[f"red {SHOWN} the"], return_tensors="pt")
    ids = encoded["input_ids"][0].tolist()
    assert ids[ids.index(IMAGE_START) :][: QUERIES + 2] == SPAN
    assert set(encoded) == {"input_ids", "attention_mask", "pixel_values"}
    assert processor.image_seq_length == QUERIES


def test_pixels_are_a_square_by_pillow_normalised_as_clip_does(processors):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 70, 3), dtype=np.uint8))
    found = processors[True].image_processor(image, return_tensors="pt")["pixel_values"][0]
    square = torch.from_numpy(np.asarray(image.resize((56, 56), Image.Resampling.BICUBIC)).copy()).permute(2, 0, 1)
    expected = (square.double() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


def test_a_saved_processor_makes_the_same_pixels_and_tokens(processors, tmp_path):
    from transformers import AutoProcessor

    processors[True].save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert again.image_processor.backend == "pil"
    asked = {"images": [[picture(0)]], "text": [f"red {SHOWN} the\n{SEAM}\n"], "return_tensors": "pt"}
    ours, theirs = processors[True](**asked), again(**asked)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_path_in_a_text_is_never_opened(processors, tmp_path, monkeypatch):
    picture(0).save(tmp_path / "0.png")
    path = str(tmp_path / "0.png")
    monkeypatch.setattr(Image, "open", lambda *given, **named: pytest.fail("opened"))
    text = f"<img>{path}</img> red?"
    with pytest.raises(ValueError, match="Nothing is opened from a text: give the image itself as `images`"):
        processors[False](text=[text])
    row = {"images": [], "prompt": text, "completion": "no"}
    with pytest.raises(DataError, match="the text holds <img> without <imgpad> behind it. Nothing is opened from"):
        SequenceEncoder(processors[False], EncodingSettings()).encode_sft([row])


def test_rows_of_plain_text_are_read_as_written(processors):
    row = {"images": [picture(0)], "prompt": f"{SHOWN}red? Answer:", "completion": " no<|endoftext|>"}
    sequence = SequenceEncoder(processors[False], EncodingSettings()).encode_sft([row]).sequences[0]
    assert sequence.ids_L.tolist()[: len(SPAN)] == SPAN
    assert sequence.ids_L[-1] == RANKS and bool(sequence.scored_L[-1])


def test_the_assistants_words_and_the_end_of_its_turn_are_marked(processors):
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{"role": "user", "content": "red?"}, {"role": "assistant", "content": "no"}]
    texts, spans = render_jinja_template(
        conversations=[messages], chat_template=processors[True].chat_template, return_assistant_tokens_mask=True
    )
    assert [texts[0][start:end] for start, end in spans[0]] == ["no<|im_end|>\n"]
