"""Each family answers as its own `generate` does on the processor's inputs, in batches of pictures of several sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.models.generate import LocalAnswerer
from sightline.models.load import LoadedVlm
from sightline.types import Question
from tests.families.case import picture
from tests.families.tiny_families import BUILDERS, WITHOUT_TEMPLATE, saved_family
from tests.families.tiny_words import template

NEED_A_PICTURE = (*WITHOUT_TEMPLATE, "paligemma", "paligemma2")


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_answers_equal_those_of_generate_on_one_question(name: str, tmp_path: Path) -> None:
    model, processor = saved_family(name, tmp_path)
    if name in WITHOUT_TEMPLATE:
        processor.chat_template = template("")
    model.eval()
    answerer = LocalAnswerer(LoadedVlm(model, processor, name))
    pictures = [picture(0, 60, 30), picture(1, 30, 60), picture(2, 36, 36)] + [None] * (name not in NEED_A_PICTURE)
    questions = [Question(text, image, 6) for text in ("what is this ?", "how many ?") for image in pictures]
    answers = list(answerer.answer(questions))
    assert [answer.error for answer in answers] == [""] * len(answers)
    for question, answer in zip(questions, answers, strict=True):
        parts = [{"type": "text", "text": question.text}]
        if question.image is not None:
            parts.insert(0, {"type": "image"})
        messages = [{"role": "user", "content": parts}]
        text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        images = [question.image] if question.image is not None else None
        inputs = processor(images=images, text=[text], return_tensors="pt", add_special_tokens=False)
        ids = model.generate(**inputs, max_new_tokens=6, do_sample=False, pad_token_id=0)
        alone = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert answer.text == alone[0].strip()
