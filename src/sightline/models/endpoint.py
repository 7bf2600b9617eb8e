"""Settings of an OpenAI-compatible server: address, model, extra fields, patience."""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sightline.errors import ConfigError
from sightline.secrets import HIDDEN, bare_address, credentials, remember, remember_address, sealed
from sightline.values import read_mapping

DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"
DEFAULT_TIMEOUT_S = 300.0
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_COMPLETIONS = "/chat/completions"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Fields that a flag sets, that hold the question, or whose reply is another kind of reply.
_TAKEN = ("model", "messages", "max_tokens", "max_completion_tokens", "stream", "n")


@dataclass(frozen=True)
class Flags:
    """The flags by which a command sets an endpoint, for messages."""

    address: str = "--endpoint"
    model: str = "--model"
    limit: str = "--max_new_tokens"
    extra_body: str = "--extra_body"


ASKED, JUDGE = Flags(), Flags("--judge", "--judge_model", "--judge_max_new_tokens", "--judge_extra_body")


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and how patiently.

    Attributes:
        url: up to the version: "http://127.0.0.1:8000/v1"; with user-info or a key among its parameters where the
            server wants them. `address` is what may be shown and written of it.
        key_variable: environment variable that holds the API key; none is sent where it is unset.
        concurrency: requests in flight.
        retries: further attempts after the first, each after twice the wait of the one before, or what `Retry-After`
            asks for, where that is longer.
        timeout_s: of one attempt, from connecting to the last byte.
        longest_wait_s: a server that asks for a longer wait ends the run.
        most_bytes: of one reply.
        patience: questions in a row that may fail before the run ends.
        extra_body: further fields of each request; they take the place of ours of the same name.
        flags: what messages call the settings.
    """

    url: str = field(repr=False)
    model: str
    key_variable: str = DEFAULT_KEY_VARIABLE
    concurrency: int = 8
    retries: int = 6
    first_wait_s: float = 1.0
    timeout_s: float = DEFAULT_TIMEOUT_S
    longest_wait_s: float = 300.0
    most_bytes: int = 32 * 2**20
    patience: int = 16
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    flags: Flags = ASKED

    def __post_init__(self) -> None:
        remember_address(self.url)
        remember(self.key)
        if HIDDEN in self.url:
            raise ConfigError(
                f"endpoint: {HIDDEN} stands where a secret was not recorded. Give the whole address again."
            )
        if not _is_http(self.url):
            raise ConfigError(f"endpoint: expected an address such as http://127.0.0.1:8000/v1, got '{self.url}'.")
        if self.concurrency < 1:
            raise ConfigError(f"concurrency: expected at least 1, got {self.concurrency}.")
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s: expected more than 0, got {self.timeout_s}.")
        variable = self.key_variable if _VARIABLE.fullmatch(self.key_variable) else HIDDEN  # it may be the key itself
        if self.key_variable != DEFAULT_KEY_VARIABLE and not self.key:
            raise ConfigError(
                f"api_key_env: the environment variable {variable} is not set. Export the key in one, and give its "
                "name."
            )
        if not (self.key.isascii() and (self.key.isprintable() or not self.key)):
            raise ConfigError(f"api_key_env: {variable} holds characters that no key has. Export it anew.")

    @property
    def address(self) -> str:
        """The url without secrets."""
        return bare_address(self.url)

    @property
    def completions(self) -> str:
        """The address that questions go to, without user-info; one that was given whole is taken as it is."""
        parts = urllib.parse.urlsplit(credentials(self.url)[0])
        path = parts.path.rstrip("/")
        return parts._replace(path=path if path.endswith(_COMPLETIONS) else path + _COMPLETIONS).geturl()

    @property
    def key(self) -> str:
        """The API key, without the line's end that files of keys have; empty for none."""
        return os.environ.get(self.key_variable, "").strip()

    def authorization(self) -> str:
        """The header by which requests are let in: the url's user-info, else the key; empty without either."""
        _, basic = credentials(self.url)
        return basic or (f"Bearer {self.key}" if self.key else "")

    @property
    def is_here(self) -> bool:
        """Whether the server is on this machine, where a proxy would look for it on its own."""
        return urllib.parse.urlsplit(self.url).hostname in _LOOPBACK


def _is_http(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False


def read_extra_body(text: str, flag: str = ASKED.extra_body) -> dict[str, Any] | None:
    """The mapping that a flag names as JSON or YAML; None for an empty text.

    Raises:
        ConfigError: it is no mapping, or sets what has a flag of its own.
    """
    if not text.strip():
        return None
    try:
        fields = read_mapping(text)
        json.dumps(fields, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{flag}: expected a mapping of request fields such as '{{\"top_k\": 20}}', got {text[:80]!r}. "
            "Write JSON or YAML."
        ) from error
    taken = [name for name in _TAKEN if name in fields]
    if taken:
        raise ConfigError(
            f"{flag}: {', '.join(taken)} cannot be set there. Use --model, --max_new_tokens and the like; each "
            "question is asked for one whole reply."
        )
    secured: dict[str, Any] = sealed(fields)
    return secured


def read_judge_body(text: str) -> dict[str, Any] | None:
    """The same for the judge's flag."""
    return read_extra_body(text, JUDGE.extra_body)


def with_thinking(extra_body: Mapping[str, Any] | None, enable_thinking: bool | None, flag: str) -> dict[str, Any]:
    """The fields with `enable_thinking` among the chat template's arguments, where it is set.

    Raises:
        ConfigError: the fields set it otherwise.
    """
    fields = dict(extra_body or {})
    if enable_thinking is None:
        return fields
    arguments = fields.get("chat_template_kwargs") or {}
    if not isinstance(arguments, Mapping) or arguments.get("enable_thinking", enable_thinking) != enable_thinking:
        raise ConfigError(
            f"--enable_thinking {str(enable_thinking).lower()}: {flag} says chat_template_kwargs {arguments}. "
            "Set it in one of them."
        )
    return {**fields, "chat_template_kwargs": {**arguments, "enable_thinking": enable_thinking}}
