"""Each release's question stands in its own words, and its image in front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.data.encoding.prompts import render_prompt
from sightline.data.pictures.images import opened
from sightline.errors import DataError, InputError
from sightline.models.load import load_vlm
from sightline.models.ports.moondream.prompts import MARKS, PLAIN, TAGGED, TIGHT, template_of
from sightline.types import Question, Turn
from tests.models.ports.moondream.published import write_folder
from tests.models.ports.moondream.test_layout import picture

START = "<|endoftext|>"
EXPECTED = {
    TAGGED: f"{START}<image>[]</image>\n\nQuestion: red?\n\nAnswer: ",
    PLAIN: f"{START}[]\n\nQuestion: red?\n\nAnswer:",
    TIGHT: f"{START}[]\n\nQuestion:red?\n\nAnswer:",
    MARKS: f"{START}[]<|md_reserved_0|>query<|md_reserved_1|>red?<|md_reserved_2|>",
}
ANSWERED = {TAGGED: "yes<END>", PLAIN: f" yes{START}", TIGHT: f" yes{START}", MARKS: f"yes{START}"}
QUESTION = {"role": "user", "content": [{"type": "text", "text": "red?"}, {"type": "image"}]}


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_vlm(write_folder(tmp_path_factory.mktemp("words") / "model", "C")).processor


def rendered(processor: Any, form: str, messages: list[dict[str, Any]], **arguments: Any) -> str:
    template = template_of(form, "[]")
    text: str = processor.apply_chat_template(messages, chat_template=template, tokenize=False, **arguments)
    return text


@pytest.mark.parametrize("form", list(EXPECTED))
def test_a_question_is_put_as_the_release_was_trained(form: str, processor: Any) -> None:
    assert rendered(processor, form, [QUESTION], add_generation_prompt=True) == EXPECTED[form]
    answer = {"role": "assistant", "content": "yes"}
    assert rendered(processor, form, [QUESTION, answer]) == EXPECTED[form] + ANSWERED[form]


def test_earlier_turns_stand_before_the_question(processor: Any) -> None:
    turns: list[dict[str, Any]] = [QUESTION, {"role": "assistant", "content": "yes"}]
    turns.append({"role": "user", "content": "why?"})
    expected = f"{START}[]\n\nQuestion: red?\n\nAnswer: yes\n\nQuestion: why?\n\nAnswer:"
    assert rendered(processor, PLAIN, turns, add_generation_prompt=True) == expected


def test_without_an_image_there_is_no_mark_of_one(processor: Any) -> None:
    asked: list[dict[str, Any]] = [{"role": "user", "content": "red?"}]
    assert rendered(processor, PLAIN, asked, add_generation_prompt=True) == EXPECTED[PLAIN].replace("[]", "")


def test_the_mark_of_an_answer_stands_twice_where_that_is_asked_for(processor: Any) -> None:
    twice = EXPECTED[MARKS] + "<|md_reserved_2|>"
    assert rendered(processor, MARKS, [QUESTION], add_generation_prompt=True, double_mark=True) == twice


def test_what_the_model_has_no_words_for_is_refused(processor: Any) -> None:
    shown = (opened(picture("square")),)
    with pytest.raises((DataError, InputError), match="moondream2 knows no role system"):
        render_prompt(processor, Question("red?", shown, turns=(Turn("system", "Be brief."),)))
    with pytest.raises(DataError, match="2 images, but MoondreamProcessor takes one image a prompt"):
        render_prompt(processor, Question("red?", shown * 2))
    with pytest.raises(ValueError, match="moondream2 takes one image a text, but one has 2"):
        processor(images=[[picture("square")] * 2], text=[processor.image_token * 2])


def test_d_answers_one_question(tmp_path: Path) -> None:
    words = load_vlm(write_folder(tmp_path / "model", "D")).processor
    turns = (Turn("user", "red?"), Turn("assistant", "yes"))
    with pytest.raises(DataError, match="answers one question"):
        render_prompt(words, Question("why?", turns=turns))
    ids = render_prompt(words, Question("red?")).ids_L.tolist()
    assert ids[:2] == [0, 1] and ids[-1] == 3
