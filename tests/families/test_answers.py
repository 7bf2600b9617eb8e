"""Each family answers as its own `generate` does on the processor's inputs, with one look per image of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.answering.local import LocalAnswerer
from sightline.data.encoding.prompts import Prompt, ids_around, render_prompt
from sightline.data.pictures.images import opened
from sightline.models.families import family_of
from sightline.models.generate import plain_option_scores
from sightline.models.load import LoadedVlm
from sightline.types import Question
from tests.families import tiny_families
from tests.families.case import picture
from tests.families.odd_rows import tokenizer_maker
from tests.families.tiny_families import ONE_IMAGE, WITHOUT_TEMPLATE, built_family, every_family, saved_family
from tests.families.tiny_words import template

NEED_A_PICTURE = (*WITHOUT_TEMPLATE, "paligemma", "paligemma2")
OPTIONS = ("what is this ?", "a large green circle ?", "how many ?")


@pytest.mark.parametrize("name", every_family())
def test_answers_equal_those_of_generate_on_one_question(name: str, tmp_path: Path) -> None:
    model, processor = saved_family(name, tmp_path)
    if name in WITHOUT_TEMPLATE:
        processor.chat_template = template("")
    loaded = LoadedVlm(model.eval(), processor, name)
    answerer = LocalAnswerer(loaded, say=lambda text: None)
    shown = [(opened(picture(0, 60, 30)),), (opened(picture(1, 30, 60)),), (opened(picture(2, 36, 36)),)]
    questions = [Question(text, images, 6) for text in ("what is this ?", "how many ?") for images in shown]
    if name not in NEED_A_PICTURE:
        questions += [Question("what is this ?", (), 6), Question("how many ?", (), 6)]
    if name not in (*WITHOUT_TEMPLATE, *ONE_IMAGE):
        questions.append(Question("is <image 2> left of it <image 1> ?", (*shown[0], *shown[2]), 6))
    answers = list(answerer.answer(questions))
    facts = family_of(model)
    assert facts is not None and answerer.route is not None
    assert answerer.route.route == ("mask" if "mask" in facts.routes else "plain"), answerer.route
    assert [answer.error for answer in answers] == [""] * len(answers)
    for question, answer in zip(questions, answers, strict=True):
        prompt = render_prompt(processor, question)
        images = [[one.open() for one in prompt.pictures]] if prompt.pictures else None
        inputs = processor(images=images, text=[prompt.text], return_tensors="pt", add_special_tokens=False)
        ids = model.generate(**inputs, max_new_tokens=6, do_sample=False, pad_token_id=0)
        alone = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert answer.text == alone[0].strip()


@pytest.mark.parametrize("name", every_family())
def test_likelihoods_of_options_equal_those_of_the_models_own_forward(name: str, tmp_path: Path) -> None:
    model, processor = saved_family(name, tmp_path)
    if name in WITHOUT_TEMPLATE:
        processor.chat_template = template("")
    loaded = LoadedVlm(model.eval(), processor, name)
    shown = [(opened(picture(index, 60, 30 + 6 * index)),) for index in range(2)]
    questions = [
        Question(text, images, options=OPTIONS) for text in ("what is this ?", "how many ?") for images in shown
    ]
    answers = list(LocalAnswerer(loaded, say=lambda text: None).answer(questions))
    for question, answer in zip(questions, answers, strict=True):
        plain = plain_option_scores(loaded, render_prompt(processor, question), OPTIONS)
        assert [score.logprob for score in answer.options] == pytest.approx(
            [score.logprob for score in plain], abs=1e-4
        )


def test_a_question_whose_tokens_are_not_the_processors_puts_all_on_plain_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third of three questions is the odd one; the first two alone would not show it."""
    model, processor = saved_family("gemma3", tmp_path)
    right = ids_around

    def wrong(processor: Any, prompt: Prompt, around: Any) -> Any:
        ids_L = right(processor, prompt, around)
        return ids_L[:-1] if "\n\n" in prompt.text else ids_L

    questions = [
        Question(text, (opened(picture(0, 60, 30)),), 4) for text in ("what ?", "how many ?", "what\n\nis it ?")
    ]
    loaded = LoadedVlm(model.eval(), processor, "gemma3")
    expected = list(LocalAnswerer(loaded, share=False, say=lambda text: None).answer(questions))
    monkeypatch.setattr("sightline.answering.local.ids_around", wrong)
    answerer = LocalAnswerer(loaded, say=lambda text: None)
    assert list(answerer.answer(questions)) == expected
    assert answerer.route is not None and answerer.route.route == "plain"
    assert answerer.route.reason == "the tokens of question 3 are not those that the processor makes"


def test_newlines_of_a_question_merge_with_those_of_its_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_families, "tokenizer", tokenizer_maker("newlines"))
    model, processor = built_family("gemma3")
    model.resize_token_embeddings(len(processor.tokenizer))
    loaded = LoadedVlm(model.eval(), processor, "gemma3")
    answerer = LocalAnswerer(loaded, say=lambda text: None)
    questions = [Question("\n\n<image 1>\nred ?", (opened(picture(0, 60, 30)),), options=("yes", "no"))]
    answers = list(answerer.answer(questions))
    assert answers[0].error == ""
    assert answerer.route is not None and answerer.route.route == "mask", answerer.route
