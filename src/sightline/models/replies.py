"""Read replies of chat endpoints: answers in every form, and the meaning of failures."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sightline.runs import encodable
from sightline.types import CUT, Answer

FILTERED, REFUSED = "content_filter", "refusal"
_OVERLOADED = frozenset({429, 503, 529})
_MAY_PASS = frozenset({408, 409, 425})
_THOUGHT = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_MOST_SAID = 300
_TAGS = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


class Trouble(Enum):
    """Why an attempt gave no answer, where another may."""

    OVERLOADED = "the server has too much to do"
    FAILED = "the server failed, or the connection broke"
    SLOW = "no reply came in time"
    MALFORMED = "the reply is no completion"
    UNREACHABLE = "nobody answers at the address"


class TryAgain(Exception):
    """An attempt that failed; `asked_s` is how long the server asks to wait."""

    def __init__(self, trouble: Trouble, text: str, asked_s: float = 0.0) -> None:
        super().__init__(text)
        self.trouble = trouble
        self.asked_s = asked_s


class Refused(ValueError):
    """A request that the server calls bad: it would be so each time. `said` is what it says."""

    def __init__(self, status: int, said: str, param: str = "") -> None:
        super().__init__(f"the endpoint answered {status}: {said}")
        self.status = status
        self.said = said
        self.param = param


class Unanswered(ValueError):
    """A completion that holds no answer, and would hold none another time."""


@dataclass(frozen=True)
class Posted:
    """What came back of a request."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def read_reply(posted: Posted) -> Answer:
    """The answer of a reply, with the reason why it ended. One that was cut before its first word is empty.

    Raises:
        TryAgain: another attempt may help.
        Refused: none will.
        Unanswered: it holds a filter's, a tool's or a parser's doing in place of an answer.
    """
    if not 200 <= posted.status < 300:
        raise failure_of(posted.status, posted)
    try:
        reply = json.loads(posted.content)
    except (ValueError, RecursionError) as error:
        raise TryAgain(
            Trouble.MALFORMED, f"expected JSON from the endpoint, got {_plain(posted.content)[:80]!r}"
        ) from error
    choice = _first_choice(reply, posted)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise TryAgain(Trouble.MALFORMED, f"expected a chat completion from the endpoint, got {_shown(reply)}")
    ended = choice.get("finish_reason")
    return _answer(message, encodable(ended) if isinstance(ended, str) else "")


def failure_of(status: int, posted: Posted, said: str = "", param: str = "") -> TryAgain | Refused:
    """What a status that is no success means."""
    error = _error_record(posted.content)
    said = said or _message(error) or _plain(posted.content)
    param = param or str(error.get("param") or "")
    spent = "insufficient_quota" in said or error.get("code") == "insufficient_quota"
    if 300 <= status < 400:
        place = posted.headers.get("location", "elsewhere")
        return Refused(status, f"it redirects to {place}, which is not followed. Name that address")
    if (status < 500 and status not in _MAY_PASS | _OVERLOADED) or spent:
        return Refused(status, said[:_MOST_SAID], param)
    trouble = Trouble.OVERLOADED if status in _OVERLOADED else Trouble.FAILED
    return TryAgain(trouble, f"HTTP {status} {said[:_MOST_SAID]}".strip(), retry_after_s(posted.headers))


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that a reply asks to wait, from a number or a date; 0 where it asks for none, or for nonsense."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError, TypeError):
            return 0.0
    return 0.0 if math.isnan(seconds) else max(0.0, seconds)


def _first_choice(reply: Any, posted: Posted) -> dict[str, Any]:
    """The first choice of a completion; an error in its place is what its code says."""
    record = reply if isinstance(reply, dict) else {}
    choices = record.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for holder in (record, choice if isinstance(choice, dict) else {}):
        error = holder.get("error")
        if error:
            fields = error if isinstance(error, dict) else {"message": error}
            status = _status(fields.get("code")) or _status(fields.get("status")) or 500
            raise failure_of(status, posted, _message(fields) or _shown(error), str(fields.get("param") or ""))
    if not isinstance(choice, dict):
        raise TryAgain(Trouble.MALFORMED, f"expected a chat completion from the endpoint, got {_shown(reply)}")
    return choice


def _answer(message: dict[str, Any], ended: str) -> Answer:
    content = message.get("content")
    text = encodable("".join(_texts(content))).strip()
    refusal = "".join(_refusals(message)).strip()
    if text:
        return Answer(text, finish_reason=ended)
    if refusal:  # it is what the model says, in a field of its own
        return Answer(encodable(refusal), finish_reason=REFUSED)
    thought = any(message.get(name) for name in _THOUGHT) or isinstance(content, list)
    if ended == CUT or (content == "" and not thought):
        return Answer("", finish_reason=ended)
    if ended == FILTERED:
        raise Unanswered("the endpoint's content filter kept the answer back")
    calls = message.get("tool_calls") or message.get("function_call")
    if calls:
        raise Unanswered(f"the model called a tool in place of an answer: {_shown(calls)}")
    if thought:
        raise Unanswered(
            f"the reply holds thought and no answer (finish_reason {ended or 'none'}): the server took the answer for "
            "thought. Ask with --enable_thinking false, or start the server without a reasoning parser"
        )
    raise Unanswered(f"expected a text in the endpoint's message, got {_shown(content)}")


def _texts(content: Any) -> Iterator[str]:
    """The words of a message's content: a text, or parts of which some are thought."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and part.get("type", "text") in ("text", "output_text"):
            yield from _texts(part.get("text"))


def _refusals(message: dict[str, Any]) -> Iterator[str]:
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    for holder in (message, *parts):
        said = holder.get("refusal")
        if isinstance(said, str):
            yield said


def _error_record(content: bytes) -> dict[str, Any]:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    record = record[0] if isinstance(record, list) and record else record  # Google's is a list of one
    error = record.get("error", record) if isinstance(record, dict) else {}
    return error if isinstance(error, dict) else {"message": error}


def _message(error: Mapping[str, Any]) -> str:
    said = next((error[name] for name in ("message", "detail", "msg") if error.get(name)), "")
    return _one_line(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False))


def _plain(content: bytes) -> str:
    """The words of a body that may be a page."""
    text = content[:20_000].decode("utf-8", "replace")
    return _one_line(_TAGS.sub(" ", text) if "<html" in text.lower() else text)


def _one_line(text: str) -> str:
    return encodable(" ".join(text.split()))


def _shown(value: Any) -> str:
    """A part of a reply as messages show it."""
    try:
        return encodable(repr(value)[:80])
    except RecursionError:
        return "something very deep"


def _status(code: Any) -> int:
    """A code that is a status of HTTP, else 0."""
    number = int(code) if isinstance(code, int | str) and str(code).isascii() and str(code).isdigit() else 0
    return number if 400 <= number < 600 else 0
