"""Rows as sequences: features behind placeholders, shared images, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer
from torch._utils import ExceptionWrapper

from sightline.data.encoding.prompts import render_prompt
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.errors import DataError, TooLongError
from sightline.types import Question
from tests.tiny import picture, tiny_processor

IMAGE_TOKENS = 16


def encoder(**given: Any) -> SequenceEncoder:
    return SequenceEncoder(tiny_processor(), EncodingSettings(**given))


def row(images: list[Any], question: Any = "what is this ?", answer: Any = "red") -> dict[str, Any]:
    return {
        "images": images,
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": answer}],
    }


def test_equal_pictures_are_processed_once_and_share_their_features() -> None:
    batch = encoder().encode_sft([row([picture(0)]), row([picture(1)]), row([picture(0).copy()])])
    assert len(batch.image_inputs["pixel_values"]) == 2
    assert [sequence.images for sequence in batch.sequences] == [(0,), (1,), (0,)]
    first, second, third = (sequence.feature_L[sequence.feature_L >= 0].tolist() for sequence in batch.sequences)
    assert first == third == list(range(IMAGE_TOKENS))
    assert second == list(range(IMAGE_TOKENS, 2 * IMAGE_TOKENS))


def test_only_the_answer_is_scored() -> None:
    sequence = encoder().encode_sft([row([picture(0)], answer="red circle")]).sequences[0]
    words = tiny_processor().tokenizer.convert_ids_to_tokens(sequence.ids_L[sequence.scored_L].tolist())
    assert words == ["red", "circle", "</s>"]


def test_several_images_stand_where_their_placeholders_stand() -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "left of"}, {"type": "image"}, {"type": "text", "text": "?"}]
    sequence = encoder().encode_sft([row([picture(0), picture(1)], question=parts)]).sequences[0]
    assert sequence.images == (0, 1)
    assert sequence.feature_L[sequence.feature_L >= 0].tolist() == list(range(2 * IMAGE_TOKENS))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row([picture(0), picture(1)], question=[{"type": "image"}, {"type": "text", "text": "what ?"}]),
         'train.jsonl row 12: 2 images, but the prompt has 1 placeholder. Add one {"type": "image"} part to the '
         "prompt, or drop an image. "
         "A prompt of plain text needs the model's own mark; as messages, "),
        (row([], question=[{"type": "image"}, {"type": "text", "text": "what ?"}]),
         "train.jsonl row 12: 0 images, but the prompt has 1 placeholder. Add the missing image"),
        (row([picture(0)], answer=""), r"train.jsonl row 12: the answer (completion) is empty"),
        (row([picture(0)], answer=None), r"train.jsonl row 12: the answer (completion) is empty"),
        (row([picture(0)], question=" "), r"train.jsonl row 12: the prompt is empty"),
        (row(["no/such/file.png"]), "train.jsonl row 12: image 'no/such/file.png' not found"),
        ({"images": [], "prompt": "<image> what ?", "completion": "red"}, "row 12: 0 images, but the prompt has 1"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_by_name(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        encoder().encode_sft([bad], names=["train.jsonl row 12"])
    assert message in str(caught.value)


def test_a_length_that_cuts_into_the_image_is_refused() -> None:
    with pytest.raises(DataError, match="max_length 10 cuts into an image; the row has"):
        encoder(max_length=10).encode_sft([row([picture(0)])])


def test_a_length_that_leaves_no_answer_token_is_refused() -> None:
    with pytest.raises(DataError, match="max_length 21 leaves no answer token to train on"):
        encoder(max_length=21).encode_sft([row([picture(0)])])


def test_a_template_that_is_set_later_renders_from_then_on() -> None:
    """On the processor or its tokenizer, as a script may do after the trainer was made."""
    encoding = encoder()
    before = encoding.encode_sft([row([picture(0)])]).sequences[0].ids_L
    encoding.processor.chat_template = encoding.processor.chat_template.replace("' : '", "' ? '")
    after = encoding.encode_sft([row([picture(0)])]).sequences[0].ids_L
    fresh = SequenceEncoder(encoding.processor, encoding.settings).encode_sft([row([picture(0)])]).sequences[0].ids_L
    assert after.tolist() == fresh.tolist() != before.tolist()


def test_a_row_that_is_too_long_stays_one_when_a_worker_hands_it_over() -> None:
    try:
        raise TooLongError("rows.jsonl row 3: 90 tokens", 90)
    except TooLongError:
        handed = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(TooLongError, match="rows.jsonl row 3: 90 tokens"):
        handed.reraise()


def test_a_text_that_the_tokenizer_has_no_token_for_is_refused_by_its_row() -> None:
    processor = tiny_processor()
    settings = json.loads(processor.tokenizer.backend_tokenizer.to_str())
    settings["model"]["unk_token"] = "gone"
    processor.tokenizer._tokenizer = Tokenizer.from_str(json.dumps(settings))
    strange = SequenceEncoder(processor, EncodingSettings())
    assert len(strange.encode_sft([row([picture(0)])]).sequences) == 1
    with pytest.raises(DataError, match="the tokenizer cannot read the text: .*Mend tokenizer.json"):
        strange.encode_sft([row([picture(0)], answer="ultramarine")])
    with pytest.raises(DataError, match="The question: the tokenizer cannot read the text"):
        render_prompt(processor, Question("ultramarine ?"))
