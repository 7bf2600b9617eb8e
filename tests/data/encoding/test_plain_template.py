"""The plain form of a prompt: pictures and words alone."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.data.encoding.plain_template import plain_template
from sightline.data.encoding.prompts import render_prompt
from sightline.data.encoding.rendering import render_columns, render_messages, structured
from sightline.data.pictures.images import opened
from sightline.types import Question, Turn
from tests.tiny import picture, tiny_processor


@pytest.fixture
def processor() -> Any:
    made = tiny_processor()
    made.chat_template = plain_template(made)
    return made


@pytest.mark.parametrize("words", ["what ?", "Question: what ? Answer:", "An image of", "Caption this.\n", " a "])
def test_a_question_is_its_picture_and_its_words_as_they_are(processor: Any, words: str) -> None:
    """A base model goes on with what is said: Qwen-VL's authors ask `{q} Answer:`, CogVLM's `query as is`."""
    assert render_prompt(processor, Question(words, (opened(picture(0)),))).text == f"<image>{words}"
    assert render_prompt(processor, Question(f"it's \"{words}")).text == f"it's \"{words}"


def test_turns_stand_in_lines_and_answers_follow_what_they_answer(processor: Any) -> None:
    turns = (Turn("system", "be short"), Turn("user", "what ?"), Turn("assistant", "red"))
    assert render_prompt(processor, Question("and ?", turns=turns)).text == "be short\nwhat ?red</s>and ?"


@pytest.mark.parametrize("words", ["what ?", "Question: what ? Answer:"])
def test_training_reads_the_prompt_that_is_asked(processor: Any, words: str) -> None:
    asked: list[dict[str, Any]] = [{"role": "user", "content": words}]
    said = [{"role": "assistant", "content": "red"}]
    prompt = render_prompt(processor, Question(words, (opened(picture(0)),)))
    row = {"prompt": asked, "completion": said, "chosen": said, "rejected": said}
    for columns in (("prompt", "completion"), ("prompt", "chosen", "rejected")):
        first, *answers = render_columns(processor, row, 1, columns, "row 1")
        assert (first, set(answers)) == (prompt.text, {"red</s>"})
    messages = structured([*asked, *said], 1, "row 1")
    text, spans = render_messages(processor, messages, None, True, "row 1")
    assert (text, [text[slice(*span)] for span in spans]) == (f"{prompt.text}red</s>", ["red</s>"])


def test_processors_that_put_the_picture_in_front_or_end_a_prompt_do_so_alone(processor: Any) -> None:
    class FuyuProcessor:
        image_token = "|SPEAKER|"
        tokenizer = processor.tokenizer

    processor.chat_template = plain_template(FuyuProcessor())
    assert render_prompt(processor, Question("what ?")).text == "what ?"
