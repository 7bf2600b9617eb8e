"""Answers equal those of plain transformers, one question at a time, whatever the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sightline.errors import InputError
from sightline.models import generate
from sightline.models.generate import LocalAnswerer
from sightline.models.load import LoadedVlm
from sightline.types import Answer, Question
from tests.tiny import picture, tiny_llava, tiny_processor

TEXTS = ["what is the colour ?", "how many red circle are there ?", "describe it", "is this a square yes no ?"]


@pytest.fixture(scope="module")
def loaded() -> LoadedVlm:
    return LoadedVlm(tiny_llava().eval(), tiny_processor(), "tiny")


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return [
        Question(TEXTS[index % 4], None if index % 5 == 4 else picture(index % 3), 4 + 4 * (index % 2))
        for index in range(17)
    ]


def answered_by_transformers(loaded: LoadedVlm, question: Question) -> str:
    parts: list[dict[str, Any]] = [{"type": "text", "text": question.text}]
    if question.image is not None:
        parts.insert(0, {"type": "image", "image": question.image})
    inputs = loaded.processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = loaded.model.generate(**inputs, do_sample=False, max_new_tokens=question.max_new_tokens)
    return loaded.processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("share_features", [True, False])
def test_answers_equal_those_of_transformers_at_every_batch_size(
    loaded: LoadedVlm,
    questions: list[Question],
    batch_size: int,
    share_features: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not share_features:
        monkeypatch.setattr(generate, "family_of", lambda model: None)
    answers = [answer.text for answer in LocalAnswerer(loaded, batch_size).answer(questions)]
    assert answers == [answered_by_transformers(loaded, question) for question in questions]
    assert len(set(answers)) > 4, "the answers must differ for this to prove anything"


def test_each_distinct_picture_goes_through_the_tower_once(
    loaded: LoadedVlm, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = 0
    forward = loaded.model.model.vision_tower.forward

    def count(pixel_values: torch.Tensor, **kwargs: Any) -> Any:
        nonlocal pictures
        pictures += len(pixel_values)
        return forward(pixel_values, **kwargs)

    monkeypatch.setattr(loaded.model.model.vision_tower, "forward", count)
    list(LocalAnswerer(loaded, batch_size=2).answer(questions))
    assert pictures == 3


def test_a_blind_question_puts_no_placeholder_into_the_prompt(loaded: LoadedVlm) -> None:
    prompt = LocalAnswerer(loaded)._render([Question("what is it ?")])[0]
    assert "<image>" not in prompt.text


def test_one_prompt_that_cannot_be_answered_spoils_no_other(
    loaded: LoadedVlm, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    answerer = LocalAnswerer(loaded)
    expected = list(answerer.answer(questions))
    generate_texts = answerer._generate

    def fail_on_six(batch: Any, features: Any) -> list[str]:
        if any(prompt.place == 6 for prompt in batch):
            raise RuntimeError("out of memory")
        return generate_texts(batch, features)

    monkeypatch.setattr(answerer, "_generate", fail_on_six)
    answers = list(answerer.answer(questions))
    assert answers[6] == Answer("", error="RuntimeError: out of memory")
    assert answers[:6] + answers[7:] == expected[:6] + expected[7:]


def test_the_mode_of_the_model_is_given_back(loaded: LoadedVlm) -> None:
    loaded.model.train()
    list(LocalAnswerer(loaded).answer([Question("what is it ?", picture(0), 2)]))
    assert loaded.model.training
    loaded.model.eval()


def test_a_processor_without_chat_template_is_refused(loaded: LoadedVlm) -> None:
    processor = tiny_processor()
    processor.chat_template = None
    with pytest.raises(InputError, match="tiny has no chat template"):
        LocalAnswerer(LoadedVlm(loaded.model, processor, "tiny"))
