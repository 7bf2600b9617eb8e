"""Addresses are taken in every spelling, further fields as JSON or YAML, and what has a flag of its own is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.errors import ConfigError
from sightline.models.endpoint import Endpoint, read_extra_body, with_thinking


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://host:8000/v1", "http://host:8000/v1/chat/completions"),
        ("http://host:8000/v1/", "http://host:8000/v1/chat/completions"),
        ("http://host:8000/v1/chat/completions", "http://host:8000/v1/chat/completions"),
        ("https://host/openai/v1?api-version=2024", "https://host/openai/v1/chat/completions?api-version=2024"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_an_address_leads_to_the_completions(url: str, asked: str) -> None:
    assert Endpoint(url, "m").completions == asked


@pytest.mark.parametrize("url", ["host:8000", "http://", "ftp://host", "http://host:port/v1", "http://[::1", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="endpoint: expected an address such as http://127.0.0.1:8000/v1"):
        Endpoint(url, "m")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", None),
        ('{"top_k": 20, "chat_template_kwargs": {"enable_thinking": false}}',
         {"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}),
        ("{top_k: 20, stop: [no, 010]}", {"top_k": 20, "stop": ["no", 10]}),
        ("top_k: 20\nprovider:\n  only: [a]\n", {"top_k": 20, "provider": {"only": ["a"]}}),
    ],
)  # fmt: skip
def test_further_fields_are_json_or_yaml(text: str, fields: Any) -> None:
    assert read_extra_body(text) == fields


@pytest.mark.parametrize(
    "text", ["top_k", "[1]", "{1: 2}", "{a: 1, a: 2}", "{a: .nan}", '{"a": ', "{a: !!python/none x}"]
)
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--judge_extra_body: expected a mapping of request fields such as"):
        read_extra_body(text, "--judge_extra_body")


@pytest.mark.parametrize("name", ["model", "messages", "max_tokens", "max_completion_tokens", "stream", "n"])
def test_what_has_a_flag_of_its_own_is_no_further_field(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--extra_body: {name} cannot be set there"):
        read_extra_body(f"{{{name}: 1}}")


def test_thinking_joins_the_arguments_of_the_template() -> None:
    assert with_thinking(None, None, "--extra_body") == {}
    assert with_thinking(None, False, "--extra_body") == {"chat_template_kwargs": {"enable_thinking": False}}
    both = with_thinking({"top_k": 1, "chat_template_kwargs": {"custom": 1}}, True, "--extra_body")
    assert both == {"top_k": 1, "chat_template_kwargs": {"custom": 1, "enable_thinking": True}}
    with pytest.raises(ConfigError, match="--enable_thinking true: --extra_body says chat_template_kwargs"):
        with_thinking({"chat_template_kwargs": {"enable_thinking": False}}, True, "--extra_body")
