"""Ask an endpoint for chat completions: retry where that may help, use the fields that it accepts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sightline.errors import InputError, MachineError
from sightline.models.endpoint import Endpoint
from sightline.models.posts import SILENCE_S, Poster, Voice
from sightline.models.replies import Refused, Trouble, TryAgain, Unanswered, read_reply
from sightline.models.request_fields import RequestFields
from sightline.secrets import redact, without_known
from sightline.types import CUT, Answer, Question

LONGEST_OWN_WAIT_S = 60.0
# Further attempts where more would only cost time; all of `Endpoint.retries` else.
_RETRIES = {Trouble.MALFORMED: 2, Trouble.SLOW: 1}
_RETRIES_WHILE_FAILING = 2
_MOST_CHANGES = 4  # of the fields of one request
_GIVE_UP = {
    401: "the API key was refused",
    402: "the account is out of credit",
    403: "the API key was refused",
    404: "there is no such model or address",
    429: "the account is out of credit",
}

Sleep = Callable[[float], Awaitable[None]]


class ChatClient:
    """Asks an endpoint; many questions at once in one loop. What a server refuses is remembered as long as it lives.

    Args:
        sleep: waits; another one in tests.
    """

    def __init__(self, endpoint: Endpoint, fields: RequestFields, voice: Voice, sleep: Sleep = asyncio.sleep) -> None:
        self.endpoint = endpoint
        self._fields = fields
        self._voice = voice
        self._sleep = sleep
        self._poster = Poster(endpoint)
        self._answered = self._failing = 0
        self._heard = time.monotonic()

    async def __aenter__(self) -> ChatClient:
        await self._poster.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._poster.__aexit__(*error)

    async def complete(self, messages: list[dict[str, Any]], question: Question) -> Answer:
        """What the model says to messages that end with the question. What it cannot answer is an answer's error.

        Raises:
            MachineError: nobody answers at the address, the server has too much to do for any question, or asks for a
                wait beyond the bound.
            InputError: it knows neither model nor key, or refuses what the user set.
        """
        endpoint = self.endpoint
        wait_s, attempts, answered_before = endpoint.first_wait_s, 0, self._answered
        while True:
            answered = self._answered
            try:
                return await self._ask(messages, question)
            except (Refused, Unanswered) as error:
                self._heard = time.monotonic()
                return Answer(error=f"ValueError: {redact(str(error))}")
            except TryAgain as trouble:
                failure, text = trouble, redact(str(trouble))
            # A server that answers others while it has too much to do is only to be waited for.
            goes_on = failure.trouble is Trouble.OVERLOADED and self._answered > answered
            attempts += not goes_on
            if attempts > self._retries(failure.trouble):
                is_down = failure.trouble is Trouble.OVERLOADED and self._answered == answered_before
                return self._given_up(is_down or failure.trouble is Trouble.UNREACHABLE, text, attempts)
            pause_s = max(wait_s, failure.asked_s)
            self._announce(text, pause_s, failure.asked_s)
            await self._sleep(pause_s)
            wait_s = min(2 * wait_s, LONGEST_OWN_WAIT_S)

    async def watch(self) -> None:
        """Says, for as long as it runs, when no reply came for a while."""
        while True:
            await asyncio.sleep(SILENCE_S)
            silent_s = time.monotonic() - self._heard
            if silent_s >= SILENCE_S:
                self._voice.now_and_then(
                    f"No reply from {self.endpoint.address} for {silent_s:.0f} s; a request is given up after "
                    f"{self.endpoint.timeout_s:g} s (--timeout_s)."
                )

    async def _ask(self, messages: list[dict[str, Any]], question: Question) -> Answer:
        """The answer of one attempt, sent again at once where a server names a field that it does not take."""
        for _ in range(_MOST_CHANGES):
            fields, changes = self._fields.of(question), self._fields.changes
            try:
                answer = read_reply(await self._poster.post({**fields, "messages": messages}))
            except Refused as refused:
                if not self._fields.learn(refused, fields):
                    raise self._hopeless(refused) or refused from refused
                said = redact(refused.said).rstrip(". ")
                self._voice.once(f"{self.endpoint.address} refuses a field: {said}. From now on: {self._told()}.")
                continue
            self._answered += 1
            self._failing = 0
            self._heard = time.monotonic()
            if not answer.text and answer.finish_reason == CUT:
                self._voice.once(
                    f"An answer had no word within {question.max_new_tokens} tokens, as where a thought is longer: "
                    f"raise {self.endpoint.flags.limit}."
                )
            return Answer(without_known(answer.text), finish_reason=answer.finish_reason, changes=changes)
        raise Unanswered(f"the endpoint refuses one field after the other ({self._told()})")

    def _told(self) -> str:
        return ", ".join(self._fields.changes)

    def _retries(self, trouble: Trouble) -> int:
        """Further attempts. A server that is not there at the start, or fails at each question, is not waited for."""
        if trouble is Trouble.UNREACHABLE and not self._answered:
            return 0
        most = _RETRIES.get(trouble, self.endpoint.retries)
        if self._failing > 1:
            most = _RETRIES_WHILE_FAILING
        return min(most, self.endpoint.retries)

    def _given_up(self, is_down: bool, text: str, attempts: int) -> Answer:
        """The answer to a question that was asked often enough; a server that is down ends the run."""
        said = f"gave no answer in {attempts} attempts; the last: {text}" if attempts > 1 else f"gave no answer: {text}"
        if is_down:
            raise MachineError(f"{self.endpoint.address} {said}. Look after the endpoint, then run the command again.")
        self._failing += 1
        return Answer(error=f"MachineError: the endpoint {said}")

    def _announce(self, text: str, pause_s: float, asked_s: float) -> None:
        endpoint = self.endpoint
        if asked_s > endpoint.longest_wait_s:
            raise MachineError(
                f"{endpoint.address} asks to wait {_span(asked_s)} ({text}), which is longer than the "
                f"{endpoint.longest_wait_s:g} s that a run waits. Run the command again then."
            )
        self._voice.now_and_then(f"{endpoint.address}: {text}. Asking again in {pause_s:.3g} s.")

    def _hopeless(self, refused: Refused) -> InputError | None:
        """What is wrong for every question. Once answers came, a refusal is about its question, except of the key."""
        endpoint, flags = self.endpoint, self.endpoint.flags
        name = self._fields.refused_of_user(refused)
        if name:
            return InputError(
                f"{flags.extra_body}: the endpoint refuses {name} ({redact(refused.said)}). Leave it out."
            )
        about_all = refused.status in (401, 402, 429) or (refused.status in (403, 404) and not self._answered)
        if not about_all or (refused.status == 403 and _is_moderation(refused.said)):
            return None
        key = f"the key in {endpoint.key_variable}" + ("" if endpoint.key else ", which is not set")
        hint = " Most addresses end in /v1." if refused.status == 404 and "/v1" not in endpoint.address else ""
        return InputError(
            f"The endpoint {endpoint.address} answered {refused.status}: {_GIVE_UP[refused.status]} "
            f"({redact(refused.said)}). Check {flags.address}, {flags.model} ({endpoint.model}) and "
            f"{key}.{hint}"
        )


def _is_moderation(said: str) -> bool:
    return any(word in said.lower() for word in ("moderation", "flagged", "content policy"))


def _span(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1e12 else "for ever"
    return f"{seconds:.0f} s"
