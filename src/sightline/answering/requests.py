"""A question with the key under which its answer is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sightline.errors import ConfigError
from sightline.types import Question
from sightline.values import read_as


@dataclass(frozen=True)
class Request:
    """A question with its key: requests that no model could tell apart have one key."""

    key: str
    question: Question


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
    """What `--enable_thinking` says; None for nothing.

    Raises:
        ConfigError: it is neither true nor false.
    """
    if not text.strip():
        return None
    try:
        thinking: bool = read_as(text.strip(), bool)
    except ValueError as error:
        raise ConfigError(f"--enable_thinking: expected true or false, got '{text}'.") from error
    return thinking
