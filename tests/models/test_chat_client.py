"""Waits are announced and bounded, what a server refuses is sent otherwise, and no question holds up the others."""

from __future__ import annotations

import gzip
import json
import ssl
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from sightline.errors import InputError, MachineError
from sightline.models.endpoint import Endpoint
from sightline.models.remote import EndpointAnswerer
from sightline.types import Answer, Question, Sampling
from tests.endpoint import RawServer, Reply, Server, completion, failing, text_of

# How servers refuse a field: OpenAI, vLLM's and FastAPI's models, Mistral, Moonshot, Anthropic.
OTHER_LIMIT = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)
ONLY_VALUE = (
    "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
)


def refusal(message: Any, status: int = 400, **fields: Any) -> Reply:
    return status, {"error": {"message": message, **fields}}, {}


def test_a_thought_that_fills_the_answer_is_asked_once_and_said_once(server: Server) -> None:
    server.reply = lambda number, body: completion(None, "length", reasoning_content="Let me think")
    said: list[str] = []
    answers = list(
        server.hasty([], said).answer([Question("q0", max_new_tokens=64), Question("q1", max_new_tokens=64)])
    )
    assert answers == [Answer(), Answer()] and {answer.finish_reason for answer in answers} == {"length"}
    assert len(server.bodies) == 2
    assert said == ["An answer had no word within 64 tokens, as where a thought is longer: raise --max_new_tokens."]


@pytest.mark.parametrize("asked", ["1", "0", "-3", "nan", "soon"])
def test_a_short_wait_that_is_asked_for_shortens_none_of_ours(server: Server, asked: str) -> None:
    server.reply = failing(4, (429, b"", {"Retry-After": asked}))
    slept: list[float] = []
    assert list(server.hasty(slept, []).answer([Question("q")])) == [Answer("yes")]
    assert slept == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("asked", "told"), [("86400", "24 hours"), ("inf", "for ever"), ("Fri, 01 Jan 2100 00:00:00 GMT", "days")]
)
def test_a_wait_beyond_the_bound_ends_the_run_and_says_when_to_ask_again(server: Server, asked: str, told: str) -> None:
    server.reply = failing(99, (429, b"quota", {"Retry-After": asked}))
    slept: list[float] = []
    with pytest.raises(
        MachineError,
        match=rf"asks to wait .*{told} \(HTTP 429 quota\).*longer than the 300 s that a run waits\. Run .* then\.$",
    ):
        list(server.hasty(slept, []).answer([Question("q")]))
    assert slept == [] and len(server.bodies) == 1


def test_a_wait_within_the_bound_is_kept_and_announced(server: Server) -> None:
    server.reply = failing(1, (429, {"error": {"message": "slow down"}}, {"Retry-After": "120"}))
    slept: list[float] = []
    said: list[str] = []
    list(server.hasty(slept, said).answer([Question("q")]))
    assert slept == [120] and said == [f"{server.url}: HTTP 429 slow down. Asking again in 120 s."]


def test_many_requests_that_wait_for_one_reason_say_it_once(server: Server) -> None:
    server.reply = failing(24, (503, b"loading", {}))
    said: list[str] = []
    list(server.hasty([], said).answer([Question(f"q{index}") for index in range(8)]))
    assert len(said) == 1


def test_a_server_that_answers_others_is_waited_for_beyond_the_attempts(server: Server) -> None:
    """Of 30 questions three are let through for each that is refused, again and again."""
    server.reply = lambda number, body: completion("yes") if number % 4 == 3 else (429, b"", {})
    answers = list(server.hasty([], [], concurrency=4, retries=5).answer([Question(f"q{n}") for n in range(30)]))
    assert [answer.text for answer in answers] == ["yes"] * 30


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (OTHER_LIMIT, "max_tokens"),
        (OTHER_LIMIT, None),
        ("`max_tokens` is deprecated, use `max_completion_tokens`", None),
        ([{"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}], None),
    ],
)
def test_a_model_that_refuses_max_tokens_gets_max_completion_tokens_for_the_whole_run(
    server: Server, message: Any, param: str | None
) -> None:
    server.reply = lambda number, body: refusal(message, param=param) if "max_tokens" in body else completion("B")
    said: list[str] = []
    answerer = server.hasty([], said, concurrency=1)
    for _ in range(2):
        answers = list(answerer.answer([Question("q0", max_new_tokens=8), Question("q1", max_new_tokens=8)]))
        assert [answer.text for answer in answers] == ["B", "B"]
        assert answers[0].changes == ("max_tokens sent as max_completion_tokens",)
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 8, 8, 8, 8]
    assert len(said) == 1 and "max_tokens sent as max_completion_tokens" in said[0]


@pytest.mark.parametrize(
    ("field", "reply"),
    [
        ("temperature", refusal(ONLY_VALUE, param="temperature", code="unsupported_value")),
        ("temperature", refusal("invalid temperature: only 1 is allowed for this model")),
        ("temperature", refusal("`temperature` is deprecated for this model.")),
        ("seed", (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs"}]}, {})),
        ("seed", refusal("Unrecognized request argument supplied: seed")),
        ("seed", refusal('Invalid JSON payload received. Unknown name "seed": Cannot find field.')),
    ],
)
def test_a_field_that_a_model_refuses_is_left_out(server: Server, field: str, reply: Reply) -> None:
    server.reply = lambda number, body: reply if field in body else completion("B")
    (answer,) = server.hasty([], []).answer([Question("q", sampling=Sampling(0.7, 5))])
    assert answer == Answer("B") and answer.changes == (f"{field} left out",)
    assert len(server.bodies) == 2


def test_several_fields_are_refused_one_after_the_other(server: Server) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        if "max_tokens" in body:
            return refusal(OTHER_LIMIT)
        return refusal(ONLY_VALUE) if "temperature" in body else completion("B")

    server.reply = reply
    answers = list(server.hasty([], [], concurrency=1).answer([Question("q0"), Question("q1")]))
    assert [answer.text for answer in answers] == ["B", "B"] and len(server.bodies) == 4


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 99999. This model supports at most 4096 completion tokens",
        "'max_tokens' or 'max_completion_tokens' is too large: 64. This model's maximum context length is 100 tokens",
        "temperature must be between 0 and 2",
        "too many pixels",
    ],
)
def test_a_value_that_is_called_bad_is_no_refused_field(server: Server, message: str) -> None:
    server.reply = lambda number, body: refusal(message)
    (answer,) = server.hasty([], []).answer([Question("q")])
    assert message[:40] in answer.error and len(server.bodies) == 1


def test_a_field_of_the_user_is_never_left_out(server: Server) -> None:
    server.reply = lambda number, body: refusal("Unsupported parameter: 'top_p'", param="top_p")
    answerer = server.hasty([], [], extra_body={"top_p": 0.9})
    with pytest.raises(InputError, match=r"--extra_body: the endpoint refuses top_p .* Leave it out"):
        list(answerer.answer([Question("q")]))
    assert len(server.bodies) == 1


def test_further_fields_reach_the_server_and_take_the_place_of_ours(server: Server) -> None:
    extra = {"temperature": 0.6, "chat_template_kwargs": {"enable_thinking": False}}
    list(server.hasty([], [], extra_body=extra).answer([Question("q")]))
    assert {name: server.bodies[0][name] for name in extra} == extra


def test_a_reply_that_hangs_or_drips_is_given_up_in_time_and_asked_for_twice() -> None:
    with RawServer([b"H", b"T", b"T", b"P"] * 400, pause_s=0.05) as address:
        answerer = EndpointAnswerer(
            Endpoint(address.url, "tiny", timeout_s=0.3, first_wait_s=0.01), (), lambda text: None
        )
        (answer,) = answerer.answer([Question("q")])
    assert answer.error.endswith("gave no answer in 2 attempts; the last: no whole reply in 0.3 s")


def test_a_reply_cut_in_the_middle_of_a_chunk_is_asked_for_again() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with RawServer([head + b'20\r\n{"choices": [{"message"'], pause_s=0) as address:
        answerer = EndpointAnswerer(Endpoint(address.url, "tiny", retries=2, first_wait_s=0.01), (), lambda text: None)
        (answer,) = answerer.answer([Question("q")])
    assert "gave no answer in 3 attempts; the last: the connection broke (" in answer.error and address.count == 3


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_a_huge_reply_is_not_read(server: Server, encoding: str) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}
    headers = {"Content-Encoding": encoding} if encoding else {}
    server.reply = lambda number, body: (200, packers[encoding](b" " * 300_000), headers)
    (answer,) = server.hasty([], [], most_bytes=100_000).answer([Question("q")])
    assert "the reply has more than 100,000 bytes" in answer.error and len(server.bodies) == 1


def test_a_packed_reply_is_read(server: Server) -> None:
    status, reply, _ = completion("yes")
    server.reply = lambda number, body: (
        status,
        gzip.compress(json.dumps(reply).encode()),
        {"Content-Encoding": "gzip"},
    )
    assert list(server.hasty([], []).answer([Question("q")])) == [Answer("yes")]


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip"])
def test_a_reply_packed_otherwise_than_it_says_is_told(server: Server, encoding: str) -> None:
    server.reply = lambda number, body: (200, b"no gzip", {"Content-Encoding": encoding})
    (answer,) = server.hasty([], []).answer([Question("q")])
    assert "the last: expected a reply" in answer.error and encoding in answer.error


def test_a_redirect_is_told_and_not_followed(server: Server) -> None:
    server.reply = failing(99, (308, b"", {"Location": "https://other.example/v1"}))
    (answer,) = server.hasty([], []).answer([Question("q")])
    assert "answered 308: it redirects to https://other.example/v1, which is not followed" in answer.error


def test_secure_connections_that_cannot_be_are_told_at_once(server: Server) -> None:
    answerer = EndpointAnswerer(Endpoint(server.url.replace("http:", "https:"), "tiny"), (), lambda text: None)
    with pytest.raises(InputError, match="It speaks no TLS: begin the address with http://"):
        list(answerer.answer([Question("q")]))


def test_a_certificate_that_nobody_vouches_for_is_told_at_once_and_may_be_vouched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    body = json.dumps(completion("yes")[1]).encode()
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with RawServer([reply], 0, context) as address:
        ask = lambda: list(EndpointAnswerer(Endpoint(address.url, "tiny"), (), print).answer([Question("q")]))  # noqa: E731
        with pytest.raises(InputError, match="no secure connection, .* SSL_CERT_FILE"):
            ask()
        authority.cert_pem.write_to_path(str(tmp_path / "own.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
        assert [answer.text for answer in ask()] == ["yes"]


def test_a_proxy_is_not_asked_for_this_machine_and_named_where_it_fails(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert [answer.error for answer in server.hasty([], []).answer([Question("q")])] == [""]
    answerer = EndpointAnswerer(Endpoint("http://models.example/v1", "tiny", retries=0), (), lambda text: None)
    with pytest.raises(MachineError, match="models.example/v1 gave no answer: the proxy of HTTP_PROXY"):
        list(answerer.answer([Question("q")]))
    assert text_of(server.bodies[0]) == "q"
