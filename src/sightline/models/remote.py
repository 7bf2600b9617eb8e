"""Ask a model behind an OpenAI-compatible HTTP endpoint: vLLM, SGLang, a hosted model, or `sightline serve`."""

from __future__ import annotations

import base64
import email.utils
import http.client
import json
import os
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Iterator, Sequence as Many
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from sightline.data.prompts import content_parts
from sightline.errors import ConfigError, DataError, InputError, MachineError
from sightline.secrets import (
    HIDDEN,
    bare_address,
    credentials,
    redact,
    remember,
    remember_address,
    without_known,
)
from sightline.types import Answer, Picture, Question, Sampling

DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"
LONGEST_WAIT_S = 60.0
_TRY_AGAIN = frozenset({408, 409, 429})
_GIVE_UP = {401: "the API key was refused", 403: "the API key was refused", 404: "there is no such model or address"}
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and how patiently.

    Attributes:
        url: up to the version: "http://127.0.0.1:8000/v1"; with user-info or a key among its parameters where the
            server wants them. `address` is what may be shown and written of it.
        key_variable: environment variable that holds the API key; none is sent where it is unset.
        concurrency: requests in flight.
        retries: further attempts after the first, each after twice the wait of the one before, or what `Retry-After`
            asks for.
        timeout_s: of one attempt.
    """

    url: str = field(repr=False)
    model: str
    key_variable: str = DEFAULT_KEY_VARIABLE
    concurrency: int = 8
    retries: int = 6
    first_wait_s: float = 1.0
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        remember_address(self.url)
        remember(os.environ.get(self.key_variable, ""))
        if HIDDEN in self.url:
            raise ConfigError(
                f"endpoint: {HIDDEN} stands where a secret was not recorded. Give the whole address again."
            )
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigError(f"endpoint: expected an address such as http://127.0.0.1:8000/v1, got '{self.url}'.")
        if self.concurrency < 1:
            raise ConfigError(f"concurrency: expected at least 1, got {self.concurrency}.")
        if self.key_variable != DEFAULT_KEY_VARIABLE and not os.environ.get(self.key_variable):
            shown = self.key_variable if _VARIABLE.fullmatch(self.key_variable) else HIDDEN  # it may be the key itself
            raise ConfigError(
                f"api_key_env: the environment variable {shown} is not set. Export the key in one, and give its name."
            )

    @property
    def address(self) -> str:
        """The url without secrets."""
        return bare_address(self.url)

    def at(self, path: str) -> str:
        """The address of a path below the url, whose parameters stay behind it; without user-info."""
        parts = urllib.parse.urlsplit(credentials(self.url)[0])
        return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()

    def authorization(self) -> str:
        """The header by which requests are let in: the url's user-info, else the key; empty without either."""
        _, basic = credentials(self.url)
        key = os.environ.get(self.key_variable, "").strip()
        return basic or (f"Bearer {key}" if key else "")


class EndpointAnswerer:
    """An `Answerer` that sends each question as one chat completion, pictures inline as PNG; without sampling, unless
    the question asks for it.

    Args:
        opening: messages that stand before every question: a system message, examples.
    """

    def __init__(self, endpoint: Endpoint, opening: Many[dict[str, Any]] = ()) -> None:
        self.endpoint = endpoint
        self.opening = tuple(opening)
        self.name = f"{endpoint.model} at {endpoint.address}"

    def answer(self, questions: Many[Question]) -> Iterator[Answer]:
        """One answer per question, in order; a request that the endpoint calls bad is an error of its question.

        Raises:
            MachineError: the endpoint could not be reached, or failed again and again.
            InputError: it knows neither model nor key.
        """
        client = Client(self.endpoint)
        with ThreadPoolExecutor(self.endpoint.concurrency) as pool:
            waiting: deque[Future[Answer]] = deque()
            try:
                for question in questions:
                    waiting.append(pool.submit(_ask, client, self.opening, question))
                    if len(waiting) > self.endpoint.concurrency:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                client.stop()
                for future in waiting:
                    future.cancel()


class Client:
    """Sends chat completions, again where that may help; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._stopped = threading.Event()
        handlers: list[Any] = [_NoRedirect()]
        if urllib.parse.urlsplit(endpoint.url).hostname in _LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))  # a proxy would look for the address on its own machine
        self._opener = urllib.request.build_opener(*handlers)

    def stop(self) -> None:
        """Ends all waiting between attempts."""
        self._stopped.set()

    def complete(self, messages: list[dict[str, Any]], max_tokens: int, sampling: Sampling | None = None) -> str:
        """The text that the model says to a conversation that ends with the user's message.

        Raises:
            ValueError: the endpoint calls the request bad, or answers something else than a completion.
            MachineError, InputError: as `EndpointAnswerer.answer`.
        """
        body = {
            "model": self.endpoint.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0 if sampling is None else sampling.temperature,
        }
        if sampling is not None:
            body["seed"] = sampling.seed
        wait_s = self.endpoint.first_wait_s
        for attempt in range(self.endpoint.retries + 1):
            try:
                return _text_of(self._post(body))
            except urllib.error.HTTPError as error:
                failure, asked_s = _read_failure(error, self.endpoint), _retry_after_s(error)
            except _Malformed as error:
                if attempt == self.endpoint.retries:
                    raise ValueError(str(error)) from error
                failure, asked_s = str(error), None
            except (OSError, http.client.HTTPException) as error:  # refused, reset, timed out, cut off
                failure, asked_s = f"{type(error).__name__}: {error}", None
            if attempt < self.endpoint.retries:
                if self._stopped.wait(wait_s if asked_s is None else asked_s):
                    break
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise MachineError(
            f"{self.endpoint.address} gave no answer in {self.endpoint.retries + 1} attempts; the last: {failure}. "
            "Answers so far are kept. Look after the endpoint, then go on: `sightline eval` with --resume, "
            "`sightline data synthesize` by the same command."
        )

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        authorization = self.endpoint.authorization()
        if authorization:
            headers["Authorization"] = authorization
        request = urllib.request.Request(self.endpoint.at("chat/completions"), json.dumps(body).encode(), headers)
        with self._opener.open(request, timeout=self.endpoint.timeout_s) as response:
            reply = response.read()
        try:
            return json.loads(reply)
        except ValueError as error:
            raise _Malformed(f"expected JSON from the endpoint, got {reply[:80]!r}") from error


class _Malformed(Exception):
    """A reply that is no chat completion."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: the key is for the address that the user named."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def message_content(parts: Many[Picture | str]) -> list[dict[str, Any]]:
    """Texts and pictures as the parts of an OpenAI message."""
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": _inline(part)}}
        for part in parts
    ]


def _ask(client: Client, opening: tuple[dict[str, Any], ...], question: Question) -> Answer:
    try:
        messages = [*opening, {"role": "user", "content": message_content(content_parts(question))}]
        return Answer(without_known(client.complete(messages, question.max_new_tokens, question.sampling).strip()))
    except (DataError, OSError, ValueError) as error:  # a picture that cannot be opened, a request found bad
        return Answer(error=redact(f"{type(error).__name__}: {error}"))


def _inline(picture: Picture) -> str:
    buffer = BytesIO()
    picture.open().save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _text_of(reply: Any) -> str:
    try:
        content = reply["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise _Malformed(f"expected a chat completion from the endpoint, got {str(reply)[:80]!r}") from error
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    if not isinstance(content, str):
        raise _Malformed(f"expected a text in the endpoint's message, got {content!r}")
    return content


def _read_failure(error: urllib.error.HTTPError, endpoint: Endpoint) -> str:
    """What an HTTP error says where another attempt may help; raises where none will."""
    said = error.read(300).decode("utf-8", "replace").strip()
    if error.code in _GIVE_UP:
        raise InputError(
            f"The endpoint {endpoint.address} answered {error.code}: {_GIVE_UP[error.code]} ({said}). Check "
            f"--endpoint, --model ({endpoint.model}) and the key in {endpoint.key_variable}."
        ) from error
    if error.code < 500 and error.code not in _TRY_AGAIN:
        raise ValueError(f"the endpoint answered {error.code}: {said}") from error
    return f"HTTP {error.code} {said}"


def _retry_after_s(error: urllib.error.HTTPError) -> float | None:
    """Seconds that the reply asks to wait, from a number or a date."""
    value = error.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
