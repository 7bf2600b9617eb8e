"""Questions become prompts with each picture at its place."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sightline.data.prompts import content_parts, option_ids, render_prompt
from sightline.errors import DataError
from sightline.types import Question
from tests.tiny import tiny_processor


@dataclass(frozen=True)
class Named:
    """A picture that nobody opens."""

    key: str


def parts(text: str, *keys: str) -> list[str]:
    question = Question(text, tuple(map(Named, keys)))  # type: ignore[arg-type]
    return [part if isinstance(part, str) else f"[{part.key}]" for part in content_parts(question)]


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
