"""Questions become prompts with each picture at its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from sightline.data.encoding.prompts import option_ids, render_prompt, said_of, template_arguments
from sightline.errors import DataError, InputError
from sightline.types import Question, Turn
from tests.tiny import tiny_processor


@dataclass(frozen=True)
class Named:
    """A picture that nobody opens."""

    key: str


def parts(text: str, *keys: str) -> list[str]:
    question = Question(text, tuple(map(Named, keys)))  # type: ignore[arg-type]
    return [part if isinstance(part, str) else f"[{part.key}]" for part in said_of(question)[0].parts]


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        ("what ?", "", ["what ?"]),
        ("what ?", "ab", ["[a]", "[b]", "what ?"]),
        ("is <image 2> in <image 1> ?", "ab", ["is ", "[b]", " in ", "[a]", " ?"]),
        ("is <image 2> red ?", "ab", ["[a]", "is ", "[b]", " red ?"]),
        ("<image 1> A. <image 1>", "a", ["[a]", " A. <image 1>"]),
        ("<image 1><image 2> <image 1> is old", "ab", ["[a]", "[b]", " <image 1> is old"]),
        ("what is <image 1> ?", "", ["what is <image 1> ?"]),
    ],
)
def test_a_picture_stands_at_its_first_mark_or_before_the_text(text: str, keys: str, expected: list[str]) -> None:
    assert parts(text, *keys) == expected


def test_a_mark_without_its_picture_is_refused() -> None:
    with pytest.raises(DataError, match="The text marks <image 2>, but the question has 1 pictures: 'is <image 2> it'"):
        parts("is <image 2> it", "a")


def test_the_prompt_is_the_template_with_one_placeholder_per_picture() -> None:
    question = Question("what is <image 1> ?", (Named("a"), Named("b")))  # type: ignore[arg-type]
    prompt = render_prompt(tiny_processor(), question)
    assert prompt.text == "<s>user : <image>what is  <image> ? assistant : "
    assert [picture.key for picture in prompt.pictures] == ["b", "a"]
    assert (prompt.ids_L == tiny_processor().image_token_id).sum() == 2
    assert not prompt.adds_tokens and (prompt.ids_L == 1).sum() == 1, "one start token"


def test_options_are_tokenized_without_a_start_token() -> None:
    assert len(option_ids(tiny_processor(), "a large red circle")) == 4


PARTS = "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"
TAKES_PARTS = f"{{% for m in messages %}}{{{{ m.role }}}}: {PARTS}\n{{% endfor %}}"
TAKES_TEXT = (
    "{% for m in messages %}{{ m.role }}: {{ m.content if m.role == 'system' else m.content[0].text }}\n{% endfor %}"
)
TAKES_FIRST = (
    f"{{% if messages[0].role == 'system' %}}{{{{ messages[0].content[0].text | trim }}}}{{% endif %}}{TAKES_PARTS}"
)
LEAVES_OUT = f"{{% for m in messages %}}{{% if m.role != 'system' %}}{PARTS}{{% endif %}}{{% endfor %}}"
REFUSES = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TAKES_PARTS
)
THINKS = TAKES_PARTS + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"


def with_template(template: str) -> Any:
    processor = tiny_processor()
    processor.chat_template = template
    return processor


FRAMED = Question("what ?", turns=(Turn("system", " be brief "),))


@pytest.mark.parametrize("template", [TAKES_PARTS, TAKES_TEXT, TAKES_FIRST])
def test_a_system_message_goes_into_the_template_in_the_form_that_it_takes(template: str) -> None:
    processor = with_template(template)
    assert template_arguments(processor, "tiny", system=" be brief ") == {}
    text = render_prompt(processor, FRAMED).text
    assert "be brief" in text and text.index("be brief") < text.index("what ?") and "type" not in text


@pytest.mark.parametrize(
    ("template", "said"), [(LEAVES_OUT, "leaves a system message out"), (REFUSES, "refuses it: System role not supp")]
)
def test_a_template_without_a_place_for_a_system_message_is_named(template: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"--system: the chat template of tiny has no place .*{said}"):
        template_arguments(with_template(template), "tiny", system="be brief")
    with pytest.raises(DataError, match=said):
        render_prompt(with_template(template), FRAMED)


def test_whether_to_think_is_an_argument_of_the_template() -> None:
    processor = with_template(THINKS)
    texts = {
        thinking: render_prompt(processor, Question("?"), template_arguments(processor, "tiny", "", thinking)).text
        for thinking in (None, True, False)
    }
    assert texts[False].endswith("<think></think>") and texts[None] == texts[True] != texts[False]
    with pytest.raises(InputError, match="--enable_thinking: the chat template of tiny knows no enable_thinking"):
        template_arguments(with_template(TAKES_PARTS), "tiny", "", False)
