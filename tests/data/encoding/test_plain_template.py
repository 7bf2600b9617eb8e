"""The plain form of a prompt: pictures and words alone."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.data.encoding.plain_template import plain_template
from sightline.data.encoding.prompts import render_prompt
from sightline.data.pictures.images import opened
from sightline.types import Question, Turn
from tests.tiny import picture, tiny_processor


@pytest.fixture
def processor() -> Any:
    made = tiny_processor()
    made.chat_template = plain_template(made)
    return made


def test_a_question_is_its_picture_and_its_words(processor: Any) -> None:
    assert render_prompt(processor, Question("what ?", (opened(picture(0)),))).text == "<image>what ?\n"
    assert render_prompt(processor, Question('it\'s "red" ?')).text == 'it\'s "red" ?\n'


def test_turns_stand_in_lines_and_answers_end(processor: Any) -> None:
    turns = (Turn("system", "be short"), Turn("user", "what ?"), Turn("assistant", "red"))
    assert render_prompt(processor, Question("and ?", turns=turns)).text == "be short\nwhat ?\nred</s>and ?\n"


def test_a_prompt_is_the_start_of_prompt_and_answer(processor: Any) -> None:
    asked: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what ?"}]}]
    said = [*asked, {"role": "assistant", "content": [{"type": "text", "text": "red"}]}]
    prompt = processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    assert processor.apply_chat_template(said, tokenize=False) == f"{prompt}red</s>"


def test_processors_that_put_the_picture_in_front_or_end_a_prompt_do_so_alone(processor: Any) -> None:
    class FuyuProcessor:
        image_token = "|SPEAKER|"
        tokenizer = processor.tokenizer

    processor.chat_template = plain_template(FuyuProcessor())
    assert render_prompt(processor, Question("what ?")).text == "what ?"
