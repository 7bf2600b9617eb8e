"""Corrections of transformers for single families: Fuyu's outputs and places, KOSMOS-2's answers."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import FuyuImageProcessor, FuyuProcessor, PreTrainedTokenizerFast

from sightline.data.encoding.processors import prompt_ids
from sightline.errors import DataError, InputError
from sightline.models.generate import decoded_answers
from sightline.models.patches import apply_patches
from tests.families.case import picture
from tests.families.tiny_families import built_family

PLACES = ("<0x00>", "<0x01>", "<0x02>", "<0x03>", "<0x04>")
SIGNS = [chr(sign) for sign in range(33, 127)]
NUMBERS = [str(number) for number in range(10, 500)]
WORDS = ["<pad>", "<s>", "</s>", "<unk>", "|SPEAKER|", "|NEWLINE|", "▁", *PLACES, *SIGNS, *NUMBERS, "▁dog"]


@pytest.fixture(scope="module")
def fuyu() -> Any:
    """The real processor on a vocabulary in which bytes and numbers are tokens, decoded as SentencePiece does."""
    apply_patches("fuyu")
    raw = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.pre_tokenizer = pre_tokenizers.Split(Regex("▁dog|▁|."), "isolated")
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    raw.add_tokens([AddedToken(word, normalized=False) for word in ("|SPEAKER|", "|NEWLINE|", "<0x04>", "<s>")])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    size = {"height": 1080, "width": 1920}
    return FuyuProcessor(FuyuImageProcessor(size=size, patch_size={"height": 30, "width": 30}), tokenizer)


def ids(*tokens: str) -> list[int]:
    return [WORDS.index(token) for token in tokens]


BOX = ("<0x00>", "50", "60", "100", "120", "<0x01>")
POINT = ("<0x02>", "30", "40", "<0x03>")
BROKEN = (
    ("<0x00>", "50", "60", "100", "<0x01>"),
    ("<0x00>", "50", "60", "▁dog", "120", "<0x01>"),
    ("<0x01>", "<0x00>", "50"),
    ("<0x02>", "30", "40", "50", "<0x03>"),
    ("<0x00>",),
)


def test_fuyu_gives_what_its_model_takes_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The model has renamed `image_patches` to `pixel_values`."""
    _, processor = built_family("fuyu")
    given = processor(images=[picture(0, 60, 30)], text=["what ?"], return_tensors="pt")
    assert "pixel_values" in given and "image_patches" not in given
    assert inspect.signature(FuyuProcessor.__call__).parameters["return_legacy_image_output"].default is False
    old = processor(images=[picture(0, 60, 30)], text=["what ?"], return_legacy_image_output=True, return_tensors="pt")
    assert torch.equal(old["image_patches"], given["pixel_values"])


def test_fuyus_places_stay_readable_in_its_answers(fuyu: Any) -> None:
    """The tokenizer alone would give control characters around 5060100120."""
    plain = fuyu.tokenizer.decode(ids("▁dog", *BOX))
    assert plain == " dog\x005060100120\x01"
    (answer, other) = decoded_answers(fuyu, [ids("▁dog", *BOX, *POINT, "</s>"), ids("▁dog", "</s>")], ids("</s>"))
    assert answer.text == "dog<0x00>50 60 100 120<0x01><0x02>30 40<0x03>"
    assert other.text == "dog"


@pytest.mark.parametrize(
    ("size", "box", "point"),
    [
        (None, "<box>100, 120, 200, 240</box>", "<point>60, 80</point>"),
        ([480, 640], "<box>100, 120, 200, 240</box>", "<point>60, 80</point>"),
        ([2160, 3840], "<box>200, 240, 400, 480</box>", "<point>120, 160</point>"),
    ],
)
def test_fuyus_places_become_pixels_of_the_original_picture(
    fuyu: Any, size: list[int] | None, box: str, point: str
) -> None:
    """Twice the token's number, over the scale of pictures beyond 1920x1080."""
    sizes = None if size is None else torch.tensor([size])
    (found,) = fuyu.post_process_box_coordinates([torch.tensor(ids(*BOX, "▁dog", *POINT))], sizes)
    assert fuyu.tokenizer.decode(found) == f"{box} dog{point}"


@pytest.mark.parametrize("tokens", BROKEN)
def test_what_is_no_whole_place_stays_and_ends(fuyu: Any, tokens: tuple[str, ...]) -> None:
    (found,) = fuyu.post_process_box_coordinates([torch.tensor(ids("▁dog", *tokens))])
    assert found.tolist() == ids("▁dog", *tokens)
    (behind,) = fuyu.post_process_box_coordinates([torch.tensor(ids(*tokens, "▁dog", *BOX))])
    assert fuyu.tokenizer.decode(behind[len(tokens) :]) == " dog<box>100, 120, 200, 240</box>"


def test_fuyus_places_need_a_size_for_each_picture(fuyu: Any) -> None:
    with pytest.raises(InputError, match="target_sizes: expected height and width of each of 1 pictures"):
        fuyu.post_process_box_coordinates([torch.tensor(ids(*BOX))], torch.tensor([480, 640]))


def test_fuyus_processor_leaves_places_of_prompts_as_words() -> None:
    """Once it no longer does, `data/encoding/unread_words.py` has to go."""
    _, processor = built_family("fuyu")
    text = "what <box>10, 20, 30, 40</box> ?"
    given = processor(images=[picture(0, 60, 30)], text=[text], return_tensors="pt")["input_ids"][0].tolist()
    words = processor.tokenizer(f"{text}<0x04>", add_special_tokens=False)["input_ids"]
    assert given[-len(words) :] == words
    with pytest.raises(DataError, match="The question: the prompt holds <box>, a place in the picture"):
        prompt_ids(processor, np.asarray, text, [("", "")], "The question")


def test_kosmos2_answers_keep_their_phrases_and_places() -> None:
    """So that `processor.post_process_generation` finds them; its words are ordinary tokens."""
    _, processor = built_family("kosmos-2")
    said = ["<phrase>", "red", "</phrase>", "<object>", "<patch_index_0000>", "<patch_index_0001>", "</object>"]
    tokens = processor.tokenizer.convert_tokens_to_ids([*said, "</s>"])
    (answer,) = decoded_answers(processor, [tokens], {processor.tokenizer.eos_token_id})
    assert answer.text.split() == said
