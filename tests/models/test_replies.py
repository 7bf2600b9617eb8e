"""Whatever form a server gives its reply, the answer is read, or the error says what came in its place."""

from __future__ import annotations

import email.utils
import json
import time
from typing import Any

import pytest

from sightline.models.replies import Posted, Refused, Trouble, TryAgain, Unanswered, read_reply, retry_after_s
from sightline.types import Answer


def replied(message: Any, finish_reason: Any = "stop") -> Posted:
    choice = {"message": message, "finish_reason": finish_reason}
    return Posted(200, {}, json.dumps({"choices": [choice]}).encode())


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("message", "finish_reason", "text", "ended"),
    [
        ({"content": " B "}, "stop", "B", "stop"),
        ({"content": "B"}, None, "B", ""),
        ({"content": ""}, "stop", "", "stop"),
        ({"content": "B", "reasoning_content": "let me see"}, "length", "B", "length"),
        ({"content": "B", "tool_calls": [{"id": "1"}]}, "tool_calls", "B", "tool_calls"),
        ({"content": [text_part("B"), text_part("ar")]}, "stop", "Bar", "stop"),
        ({"content": ["B", "ar"]}, "stop", "Bar", "stop"),
        ({"content": [{"type": "output_text", "text": "B"}]}, "stop", "B", "stop"),
        ({"content": [{"type": "thinking", "thinking": [text_part("A?")]}, text_part("B")]}, "stop", "B", "stop"),
        ({"content": None, "reasoning_content": "let me"}, "length", "", "length"),
        ({"content": None, "reasoning": "let me"}, "length", "", "length"),
        ({"content": "", "reasoning": "let me"}, "length", "", "length"),
        ({"reasoning_content": "let me"}, "length", "", "length"),
        ({"content": [{"type": "thinking", "thinking": "let me"}]}, "length", "", "length"),
        ({"content": None, "refusal": "I cannot help."}, "stop", "I cannot help.", "refusal"),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "stop", "No.", "refusal"),
        ({"content": "half", "refusal": None}, "content_filter", "half", "content_filter"),
        ({"content": "a \ud83d"}, "length", "a \ufffd", "length"),
        ({"content": "\ude00 b \ud83d\ude00"}, "stop", "\ufffd b \U0001f600", "stop"),
    ],
)
def test_an_answer_is_read_in_every_form(message: Any, finish_reason: Any, text: str, ended: str) -> None:
    answer = read_reply(replied(message, finish_reason))
    assert answer == Answer(text) and answer.finish_reason == ended
    answer.text.encode()


@pytest.mark.parametrize(
    ("message", "finish_reason", "said"),
    [
        ({"content": None}, "stop", "expected a text in the endpoint's message, got None"),
        ({"content": 7}, "stop", "expected a text in the endpoint's message, got 7"),
        (
            {"content": None, "reasoning_content": "It is B."},
            "stop",
            "thought and no answer .* --enable_thinking false",
        ),
        ({"content": "", "reasoning": "It is B."}, "stop", "thought and no answer"),
        ({"content": None, "tool_calls": [{"function": {"name": "zoom"}}]}, "tool_calls", "called a tool .*zoom"),
        ({"content": None, "function_call": {"name": "zoom"}}, "function_call", "called a tool .*zoom"),
        ({"content": None}, "content_filter", "content filter kept the answer back"),
    ],
)
def test_what_stands_in_an_answers_place_is_told_and_asked_once(message: Any, finish_reason: str, said: str) -> None:
    with pytest.raises(Unanswered, match=said):
        read_reply(replied(message, finish_reason))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected JSON"),
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "got '502 Bad Gateway'"),
        (b'{"choices": [{"message"', "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"9" * 5000, "expected JSON"),
        (b"\xff\xfe\x00", "expected JSON"),
        (b"null", "expected a chat completion"),
        (b"[]", "expected a chat completion"),
        (b'{"choices": []}', "expected a chat completion"),
        (b'{"choices": null}', "expected a chat completion"),
        (b'{"choices": [7]}', "expected a chat completion"),
        (b'{"choices": [{"text": "B"}]}', "expected a chat completion"),
        (b'{"choices": [{"message": ' + b'{"content":' * 900 + b"1" + b"}" * 901 + b"]}", "expected a"),
    ],
)
def test_what_is_no_completion_may_be_one_next_time(content: bytes, said: str) -> None:
    with pytest.raises((TryAgain, Unanswered), match=said) as raised:
        read_reply(Posted(200, {}, content))
    assert len(str(raised.value)) < 400 and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("reply", "expected", "said"),
    [
        ({"error": {"code": 429, "message": "slow down"}}, TryAgain, "HTTP 429 slow down"),
        ({"error": {"code": "502", "message": "upstream"}}, TryAgain, "HTTP 502 upstream"),
        ({"error": {"code": 401, "message": "No auth"}}, Refused, "401: No auth"),
        ({"error": "model is loading"}, TryAgain, "HTTP 500 model is loading"),
        ({"choices": [{"error": {"code": 400, "message": "bad picture"}}]}, Refused, "400: bad picture"),
    ],
)
def test_an_error_in_a_good_reply_is_what_its_code_says(reply: Any, expected: type[Exception], said: str) -> None:
    with pytest.raises(expected, match=said):
        read_reply(Posted(200, {}, json.dumps(reply).encode()))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "too many\npixels"}}, "too many pixels"),
        ({"error": "too many"}, "too many"),
        ({"detail": [{"loc": ["body", "seed"], "msg": "no"}]}, "seed"),
        ([{"error": {"message": "API key not valid"}}], "API key not valid"),
        ({"object": "error", "message": "\ud83d too long"}, "\ufffd too long"),
    ],
)
def test_a_refusal_says_what_the_server_says(body: Any, said: str) -> None:
    with pytest.raises(Refused, match=said) as raised:
        read_reply(Posted(400, {}, json.dumps(body).encode()))
    assert "\n" not in str(raised.value)


def test_troubles_differ_by_what_helps() -> None:
    for status, trouble in ((429, Trouble.OVERLOADED), (503, Trouble.OVERLOADED), (500, Trouble.FAILED)):
        with pytest.raises(TryAgain) as raised:
            read_reply(Posted(status, {}, b""))
        assert raised.value.trouble is trouble


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0),
        ("7", 7),
        ("0.5", 0.5),
        ("-5", 0),
        ("inf", float("inf")),
        ("nan", 0),
        ("soon", 0),
        ("1e400", float("inf")),
    ],
)
def test_a_wait_that_is_asked_for_is_a_number_of_seconds(value: str, seconds: float) -> None:
    assert retry_after_s({"retry-after": value}) == seconds


def test_a_wait_that_is_asked_for_is_a_date() -> None:
    later = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 98 < retry_after_s({"retry-after": later}) <= 100
    assert retry_after_s({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}) == 0
    assert retry_after_s({"retry-after": "Sun, 99 Nov 99999 08:49:37 GMT"}) == 0
