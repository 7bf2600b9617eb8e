"""Answers are those of the slow formulas, token by token, and end where their release ends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.answering.local import LocalAnswerer
from sightline.data.pictures.images import opened
from sightline.models.load import load_vlm
from sightline.types import CUT, ENDED, Question
from tests.models.ports.moondream import reference
from tests.models.ports.moondream.published import write_folder
from tests.models.ports.moondream.test_layout import features, picture, stored_tensors
from tests.models.ports.moondream.test_releases import OF_MARCH_2024

TOKENS = 6


def silent(text: str) -> None:
    """Says nothing."""


@pytest.mark.parametrize("generation", "ABCD")
def test_an_answer_is_that_of_the_formulas(generation: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", generation)
    vlm = load_vlm(folder, dtype="float32", device="cpu")
    processor: Any = vlm.processor
    answerer = LocalAnswerer(vlm, say=silent)
    shown = [(opened(picture(name)),) for name in ("wide", "high")]
    answers = list(answerer.answer([Question("what is this ?", one, TOKENS) for one in shown]))
    assert answerer.route is not None and answerer.route.route == "mask"
    w = reference.new_names(stored_tensors(folder))
    for name, answer in zip(("wide", "high"), answers, strict=True):
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is this ?"}]}
        text = processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
        inputs = processor(images=[[picture(name)]], text=[text], return_tensors="pt")
        said = spoken(w, vlm.model, generation, inputs, prefix=17 if generation in "CD" else 0)
        assert answer.text == processor.decode(said, skip_special_tokens=True).strip()


def spoken(w: reference.Tensors, model: Any, generation: str, inputs: Any, prefix: int) -> list[int]:
    ids, feature = inputs["input_ids"][0].tolist(), features(w, generation, inputs)
    forbidden = [3] if generation == "D" else []
    said: list[int] = []
    while len(said) < TOKENS and model.config.text_config.eos_token_id not in said:
        x = reference.embedded(w, ids + said, model.config.image_token_id, feature)
        logits = reference.logits(w, reference.decoder(w, x, heads=2, prefix=prefix)[-1:])[0]
        logits[forbidden] = -float("inf")
        said.append(int(logits.argmax()))
    return said


def test_the_mark_of_an_answer_is_never_said_by_d(tmp_path: Path) -> None:
    """The authors forbid it; a model that would say nothing else says its second choice."""
    vlm = load_vlm(write_folder(tmp_path / "model", "D"), dtype="float32", device="cpu")
    vlm.model.lm_head.bias.data[3] = 1e4
    answerer = LocalAnswerer(vlm, say=silent)
    (answer,) = answerer.answer([Question("what is this ?", (opened(picture("wide")),), TOKENS)])
    assert answerer.route is not None and answerer.route.route == "mask"
    assert answer.text


def test_an_answer_of_march_2024_ends_before_its_word_for_the_end(tmp_path: Path) -> None:
    code = {"moondream.py": OF_MARCH_2024, "vision_encoder.py": "import timm"}
    vlm = load_vlm(write_folder(tmp_path / "model", "A", code), dtype="float32", device="cpu")
    question = Question("what is this ?", (opened(picture("wide")),), TOKENS)
    (whole,) = LocalAnswerer(vlm, say=silent).answer([question])
    end = next(letter for letter in whole.text if letter.isalpha() and letter != whole.text[0])
    vlm.model.generation_config.stop_strings = [end]
    (answer,) = LocalAnswerer(vlm, say=silent).answer([question])
    assert whole.finish_reason == CUT
    assert (answer.text, answer.finish_reason) == (whole.text[: whole.text.index(end)].strip(), ENDED)
