"""What was cut is counted and told with the flag to raise."""

from __future__ import annotations

from sightline.answering.requests import cut_note, endings, request_changes, why_empty
from sightline.types import Answer

CUT_OFF, CUT_SHORT, WHOLE = (
    Answer(finish_reason="length"),
    Answer("so", finish_reason="length"),
    Answer("B", "", (), "stop"),
)


def test_cut_answers_are_counted_with_what_to_do() -> None:
    assert cut_note([WHOLE, Answer("C")], 64) == ""
    assert cut_note([CUT_SHORT, WHOLE], 64) == "1 of 2 answers was cut at 64 tokens: raise --max_new_tokens"
    found = cut_note([CUT_SHORT, CUT_OFF, CUT_OFF, WHOLE], 1024, "--longest")
    assert found == "3 of 4 answers were cut at 1,024 tokens, 2 of them before their first word: raise --longest"


def test_an_answer_without_words_says_why() -> None:
    assert why_empty(CUT_OFF, 64) == "no word within 64 tokens, as where a thought is longer: raise --max_new_tokens"
    assert why_empty(Answer(error="broken"), 64) == "broken"
    assert why_empty(CUT_SHORT, 64) == why_empty(WHOLE, 64) == why_empty(Answer(), 64) == ""


def test_endings_and_changes_are_counted_once_each() -> None:
    assert endings([WHOLE, CUT_OFF, CUT_SHORT, Answer("?")]) == {"length": 2, "stop": 1}
    changed = Answer("B", changes=("temperature left out",))
    assert request_changes([WHOLE, changed, changed]) == ("temperature left out",)
