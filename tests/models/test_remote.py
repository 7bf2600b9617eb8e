"""An endpoint is asked as OpenAI's is: pictures inline, patience where it helps, and an end where it does not."""

from __future__ import annotations

import base64
import time
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from sightline.data.images import opened
from sightline.errors import ConfigError, InputError, MachineError
from sightline.models.remote import Endpoint, EndpointAnswerer
from sightline.types import Answer, Question, Sampling
from tests.endpoint import Reply, Server, completion, failing, text_of
from tests.tiny import picture


def test_text_and_pictures_arrive_in_place_and_unchanged(server: Server) -> None:
    images = [picture(0), picture(1)]
    question = Question("is <image 2> like the first ?", tuple(map(opened, images)), 7)
    (answer,) = server.answerer().answer([question])
    body = server.bodies[0]
    assert answer == Answer("? tsrif eht ekil  si")
    assert (body["path"], body["model"], body["max_tokens"], body["temperature"]) == (
        "/v1/chat/completions", "tiny", 7, 0,
    )  # fmt: skip
    content = body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text", "image_url", "text"]
    for part, image in ((content[0], images[0]), (content[2], images[1])):
        kind, _, data = part["image_url"]["url"].partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(BytesIO(base64.b64decode(data))).tobytes() == image.tobytes()


def test_answers_keep_the_order_of_the_questions_however_fast_each_is(server: Server) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        time.sleep(0.05 if number % 3 == 0 else 0)
        return completion(text_of(body)[::-1])

    server.reply = reply
    texts = [f"question {index}" for index in range(20)]
    answers = list(server.answerer(concurrency=4).answer([Question(text) for text in texts]))
    assert [answer.text for answer in answers] == [text[::-1] for text in texts]


@pytest.mark.parametrize(
    "failure",
    [
        (429, {"error": "slow down"}, {}),
        (500, b"oops", {}),
        (503, b"", {}),
        (200, b"<html>no json", {}),
        (200, {"choices": []}, {}),
    ],
)
def test_what_may_pass_is_tried_again(server: Server, failure: Reply) -> None:
    server.reply = failing(2, failure)
    assert list(server.answerer().answer([Question("is it red ?")])) == [Answer("yes")]
    assert len(server.bodies) == 3


def test_each_wait_is_twice_the_one_before_unless_the_server_names_one(server: Server) -> None:
    server.reply = failing(2, (503, b"", {}))
    list(server.answerer(first_wait_s=0.1).answer([Question("q")]))
    first, second = (later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False))
    assert 0.1 <= first < 0.2 <= second
    server.times.clear()
    server.bodies.clear()
    server.reply = failing(1, (429, b"", {"Retry-After": "0.3"}))
    list(server.answerer(first_wait_s=0.01).answer([Question("q")]))
    assert server.times[1] - server.times[0] >= 0.3


def test_a_slow_reply_is_given_up_and_asked_for_again(server: Server) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        time.sleep(0.5 if number == 0 else 0)
        return completion("yes")

    server.reply = reply
    assert list(server.answerer(timeout_s=0.1).answer([Question("q")])) == [Answer("yes")]


def test_an_endpoint_that_stays_down_ends_the_run_with_what_to_do(server: Server) -> None:
    server.reply = failing(99, (503, b"loading", {}))
    with pytest.raises(MachineError, match=r"gave no answer in 4 attempts; the last: HTTP 503 loading. .* --resume"):
        list(server.answerer().answer([Question("q")]))
    endpoint = Endpoint("http://127.0.0.1:9/v1", "tiny", retries=1, first_wait_s=0.01)
    with pytest.raises(MachineError, match="gave no answer in 2 attempts; the last: URLError"):
        list(EndpointAnswerer(endpoint).answer([Question("q")]))


def test_answers_before_the_end_are_handed_over(server: Server) -> None:
    server.reply = lambda number, body: (503, b"", {}) if text_of(body) == "q3" else completion("yes")
    answers = server.answerer(concurrency=1, retries=1).answer([Question(f"q{index}") for index in range(6)])
    assert [next(answers).text for _ in range(3)] == ["yes"] * 3
    with pytest.raises(MachineError):
        next(answers)


def test_a_request_that_is_called_bad_is_an_error_of_its_question(server: Server) -> None:
    server.reply = lambda number, body: (400, b"too many pixels", {}) if text_of(body) == "q1" else completion("yes")
    answers = list(server.answerer().answer([Question("q0"), Question("q1"), Question("q2")]))
    assert [answer.text for answer in answers] == ["yes", "", "yes"]
    assert answers[1].error == "ValueError: the endpoint answered 400: too many pixels"


def test_a_reply_that_never_is_a_completion_is_an_error_and_no_empty_answer(server: Server) -> None:
    server.reply = lambda number, body: completion(None)
    (answer,) = server.answerer().answer([Question("q")])
    assert "expected a text in the endpoint's message, got None" in answer.error and len(server.bodies) == 4


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_is_named_at_once(server: Server, status: int) -> None:
    server.reply = failing(99, (status, b"who?", {}))
    with pytest.raises(InputError, match=rf"answered {status}: .* Check --endpoint, --model \(tiny\)"):
        list(server.answerer().answer([Question("q")]))
    assert len(server.bodies) == 1


def test_the_key_goes_to_the_named_address_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    server.reply = failing(1, (302, b"", {"Location": server.url + "/elsewhere"}))
    (answer,) = server.answerer(key_variable="MY_KEY").answer([Question("q")])
    assert "the endpoint answered 302" in answer.error
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer secret"]


def test_messages_and_sampling_reach_the_server(server: Server) -> None:
    opening = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    answerer = EndpointAnswerer(Endpoint(server.url, "tiny"), opening)
    list(answerer.answer([Question("q", sampling=Sampling(0.7, 5))]))
    body = server.bodies[0]
    assert body["messages"] == [*opening, {"role": "user", "content": [{"type": "text", "text": "q"}]}]
    assert (body["temperature"], body["seed"]) == (0.7, 5)


def test_settings_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match="api_key_env: the environment variable MY_KEY is not set"):
        Endpoint("http://127.0.0.1/v1", "tiny", "MY_KEY")
    with pytest.raises(ConfigError, match="endpoint: expected an address such as"):
        Endpoint("127.0.0.1:8000", "tiny")
    with pytest.raises(ConfigError, match="concurrency: expected at least 1, got 0"):
        Endpoint("http://127.0.0.1/v1", "tiny", concurrency=0)
