"""Learn which fields of a chat request a server accepts, and report the ones it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sightline.models.endpoint import Endpoint
from sightline.models.replies import Refused
from sightline.types import Question

LIMIT, LIMIT_TODAY = "max_tokens", "max_completion_tokens"
_OPTIONAL = ("temperature", "seed")
# Words by which servers refuse a field itself, or the only value that we send: OpenAI, vLLM and other pydantic models,
# Mistral, Moonshot, Anthropic.
_REFUSALS = re.compile(
    r"unsupported|not support|n't support|not permitted|extra_forbidden|extra inputs|unrecogni[sz]ed|unknown|unexpected"
    r"|deprecated|not allowed|no longer|additional propert|only [^.]{0,40}(?:allowed|supported|accepted)|instead"
    r"|may not be (?:set|specified)|cannot be (?:set|specified|used|changed)|not accepted|not available|incompatible",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    r"too (?:large|long|many|high)|exceed|context length|at most|maximum|greater than", re.IGNORECASE
)


class RequestFields:
    """What each request holds beside its messages. What a server refuses is left out from then on, or spelt anew.

    Fields of `extra_body` are the user's, and stay.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._model = endpoint.model
        self._extra = endpoint.extra_body
        self._limit = LIMIT
        self._left_out: list[str] = []

    @property
    def changes(self) -> tuple[str, ...]:
        """What is sent otherwise than it was meant, in words."""
        renamed = (f"{LIMIT} sent as {LIMIT_TODAY}",) if self._limit == LIMIT_TODAY else ()
        return (*renamed, *(f"{name} left out" for name in self._left_out))

    def of(self, question: Question) -> dict[str, Any]:
        """The fields for a question: the likeliest answer is asked for, unless it wants a drawn one."""
        sampling = question.sampling
        own: dict[str, Any] = {
            "model": self._model,
            self._limit: question.max_new_tokens,
            "temperature": 0 if sampling is None else sampling.temperature,
        }
        if sampling is not None:
            own["seed"] = sampling.seed
        return {**{name: value for name, value in own.items() if name not in self._left_out}, **self._extra}

    def learn(self, refused: Refused, sent: Mapping[str, Any]) -> bool:
        """Whether the request is worth sending again because a field that was refused is sent otherwise now."""
        if refused.status not in (400, 404, 422, 501) or not _REFUSALS.search(f"{refused.said} {refused.param}"):
            return False
        if LIMIT in sent and self._refuses(refused, LIMIT) and not _is_about_size(refused.said):
            self._limit = LIMIT_TODAY
            return True
        for name in _OPTIONAL:
            if name in sent and name not in self._extra and self._refuses(refused, name):
                if name not in self._left_out:
                    self._left_out.append(name)
                return True
        return False

    def refused_of_user(self, refused: Refused) -> str:
        """The field of `extra_body` that a server refuses, or an empty text."""
        if refused.status not in (400, 422) or not _REFUSALS.search(refused.said):
            return ""
        return next((name for name in self._extra if self._refuses(refused, name)), "")

    def _refuses(self, refused: Refused, name: str) -> bool:
        """Whether a refusal is about a field; `max_tokens` may be named as what to use in place of another."""
        if refused.param:
            return refused.param.split(".")[-1] == name
        return re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", refused.said) is not None


def _is_about_size(said: str) -> bool:
    return _TOO_LARGE.search(said) is not None and LIMIT_TODAY not in said.replace(f"'{LIMIT}' or '{LIMIT_TODAY}'", "")
