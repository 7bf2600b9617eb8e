"""A question with the key of its stored answer, and how answers ended: cut, filtered or empty."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sightline.data.marks import count_marks
from sightline.errors import ConfigError
from sightline.types import CUT, SYSTEM, Answer, Question, Turn
from sightline.values import read_as


@dataclass(frozen=True)
class Request:
    """A question with its key: requests that no model could tell apart have one key."""

    key: str
    question: Question


def framed(question: Question, system: str) -> Question:
    """The question behind a system message, where there is one.

    Raises:
        ConfigError: the message marks a picture.
    """
    if not system.strip():
        return question
    if count_marks(system):
        raise ConfigError(f"--system: a system message shows no picture, got '{system:.60}'. Take the mark out.")
    return replace(question, turns=(Turn(SYSTEM, system), *question.turns))


def request_of(question: Question, model: str) -> Request:
    """A question with the key of its content and of the fingerprint of whoever answers."""
    asked: list[Any] = [
        question.text,
        [picture.key for picture in question.pictures],
        list(question.options) or question.max_new_tokens,  # a length limits no likelihood
        model,
    ]
    if question.sampling is not None:
        asked.append([question.sampling.temperature, question.sampling.seed])
    if question.turns:
        asked.append([[turn.role, turn.text] for turn in question.turns])
    return Request(hashlib.blake2b(json.dumps(asked).encode(), digest_size=16).hexdigest(), question)


def read_thinking(text: str) -> bool | None:
    """What `--enable_thinking` says; None for nothing. Raises ConfigError where it is neither true nor false."""
    if not text.strip():
        return None
    try:
        thinking: bool = read_as(text.strip(), bool)
    except ValueError as error:
        raise ConfigError(f"--enable_thinking: expected true or false, got '{text}'.") from error
    return thinking


LIMIT_FLAG = "--max_new_tokens"


def why_empty(answer: Answer, limit: int, flag: str = LIMIT_FLAG) -> str:
    """Why an answer says nothing, in words: its error, or that it was cut before its first word; empty for neither."""
    if answer.error or answer.text or answer.finish_reason != CUT:
        return answer.error
    return f"no word within {limit} tokens, as where a thought is longer: raise {flag}"


def cut_note(answers: Iterable[Answer], limit: int, flag: str = LIMIT_FLAG) -> str:
    """How many answers were cut at their longest, and what to do; empty where none was."""
    all_answers = list(answers)
    cut = [answer for answer in all_answers if answer.finish_reason == CUT]
    if not cut:
        return ""
    silent = sum(not answer.text for answer in cut)
    wordless = f", {silent:,} of them before their first word" if silent else ""
    were = "was" if len(cut) == 1 else "were"
    return f"{len(cut):,} of {len(all_answers):,} answers {were} cut at {limit:,} tokens{wordless}: raise {flag}"


def endings(answers: Iterable[Answer]) -> dict[str, int]:
    """How often answers ended in each way that was told, the most frequent first."""
    counts = Counter(answer.finish_reason for answer in answers if answer.finish_reason)
    return dict(counts.most_common())


def request_changes(answers: Iterable[Answer]) -> tuple[str, ...]:
    """What a server was asked otherwise than it was meant, for any of the answers."""
    return tuple(dict.fromkeys(change for answer in answers for change in answer.changes))
