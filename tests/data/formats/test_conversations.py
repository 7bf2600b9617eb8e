"""Prompts and answers of other shapes than TRL's become its messages, or are refused by their row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sightline.data.formats.spoken import as_messages, transcript
from sightline.errors import DataError

ASKED = {"role": "user", "content": "what ?"}


@pytest.mark.parametrize(
    "value",
    [
        "what ?", ASKED, [ASKED], json.dumps([ASKED]), str([ASKED]), [{"role": "Human", "content": "what ?"}],
        [{"from": "human", "value": "what ?"}], [{"from": "user", "content": "what ?"}],
    ],
)  # fmt: skip
def test_a_question_is_a_message_of_the_user(value: Any) -> None:
    assert as_messages(value, "user", "row 1") == [ASKED]


@pytest.mark.parametrize("answer", [3, 3.0, "3"])
def test_a_number_is_what_people_write(answer: Any) -> None:
    given = {"role": "assistant", "content": answer}
    assert as_messages(answer, "assistant", "row 1") == as_messages([given], "assistant", "row 1")
    assert as_messages(answer, "assistant", "row 1") == [{"role": "assistant", "content": "3"}]


@pytest.mark.parametrize("part", ["what ?", {"text": "what ?"}, {"type": "input_text", "text": "what ?"}])
def test_parts_of_words_have_the_type_text(part: Any) -> None:
    (message,) = as_messages([{"role": "user", "content": [part]}], "user", "row 1")
    assert message["content"] == [{"type": "text", "text": "what ?"}]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["what ?"], "got a list with 'what"),
        ([{"content": "what ?"}], "got one with content"),
        ([{"role": "assistant", "content": None}], "a message of assistant has no content"),
        ([{"role": "user", "content": [3]}], "content parts of text and images, got 3"),
        ("[{'role': 'user', 'content': 'a'}\n {'role': 'assistant', 'content': 'b'}]", "is no JSON"),
        (json.dumps([{"role": "user", "content": [{"type": "image", "image": "a.png"}]}]), "and name pictures"),
    ],
)
def test_what_is_no_message_is_refused_by_its_row(value: Any, said: str) -> None:
    with pytest.raises(DataError, match=rf"^row 1: .*{said}"):
        as_messages(value, "user", "row 1")


def test_a_call_of_a_tool_needs_no_words() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "look"}]}
    assert as_messages([call], "assistant", "row 1") == [call]


def test_a_transcript_is_its_turns() -> None:
    text = "\n\nHuman: Hi\n\nthere\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant: Bye"
    assert [turn["content"] for turn in transcript(text) or ()] == ["Hi\n\nthere", "Hello", "Bye", "Bye"]
    assert transcript("Human beings: many") is None
