"""An endpoint is asked as OpenAI's is: pictures inline, patience where it helps, and an end where it does not."""

from __future__ import annotations

import base64
import threading
import time
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from sightline.data.pictures.images import opened
from sightline.errors import ConfigError, InputError, MachineError
from sightline.models.endpoint import Endpoint
from sightline.models.remote import EndpointAnswerer
from sightline.types import Answer, Question, Sampling, Turn
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


def test_what_always_fails_is_an_error_of_its_question_and_the_others_are_answered(server: Server) -> None:
    server.reply = lambda number, body: (500, b"oops", {}) if text_of(body) == "q1" else completion("yes")
    answers = list(server.answerer().answer([Question(f"q{index}") for index in range(4)]))
    assert [answer.text for answer in answers] == ["yes", "", "yes", "yes"]
    assert answers[1].error == "MachineError: the endpoint gave no answer in 4 attempts; the last: HTTP 500 oops"


def test_an_endpoint_that_stays_down_ends_the_run_with_what_to_do(server: Server) -> None:
    server.reply = failing(99, (503, b"loading", {}))
    with pytest.raises(
        MachineError, match=r"gave no answer in 4 attempts; the last: HTTP 503 loading. .* run the command again"
    ):
        list(server.answerer().answer([Question("q")]))


def test_answers_before_the_end_are_handed_over(server: Server) -> None:
    server.reply = lambda number, body: (503, b"", {}) if text_of(body) == "q3" else completion("yes")
    answers = server.answerer(concurrency=1, retries=1).answer([Question(f"q{index}") for index in range(6)])
    assert [next(answers).text for _ in range(3)] == ["yes"] * 3
    with pytest.raises(MachineError):
        next(answers)


def test_one_question_that_a_server_never_finds_time_for_ends_no_run(server: Server) -> None:
    server.reply = lambda number, body: (503, b"", {}) if text_of(body) == "q0" else completion("yes")
    answers = list(server.answerer(concurrency=2).answer([Question(f"q{index}") for index in range(4)]))
    assert [answer.text for answer in answers] == ["", "yes", "yes", "yes"] and "HTTP 503" in answers[0].error


def test_nobody_at_the_address_ends_the_run_at_the_first_attempt() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    answerer = EndpointAnswerer(Endpoint("http://127.0.0.1:9/v1", "tiny"), (), lambda text: None, sleep)
    with pytest.raises(MachineError, match=r"127.0.0.1:9/v1 gave no answer: ConnectError: "):
        list(answerer.answer([Question("q")]))
    assert not slept


def test_answers_come_as_they_are_known_and_not_behind_a_slow_one(server: Server) -> None:
    release = threading.Event()

    def reply(number: int, body: dict[str, Any]) -> Reply:
        if text_of(body) == "q0":
            release.wait(10)
        return completion(text_of(body))

    server.reply = reply
    came = []
    for placed in server.answerer(concurrency=2).answer_as_ready([Question(f"q{index}") for index in range(5)]):
        came.append(placed.place)
        if len(came) == 4:
            release.set()
    assert came == [1, 2, 3, 4, 0]


def test_whoever_stops_asking_does_not_wait_for_what_is_in_flight(server: Server) -> None:
    def later(number: int, body: Any) -> Any:
        time.sleep(3 * number)
        return completion("yes")

    server.reply = later
    answers = server.answerer(concurrency=3).answer_as_ready([Question(f"q{index}") for index in range(9)])
    next(answers)
    start = time.monotonic()
    answers.close()
    assert time.monotonic() - start < 2


def test_a_request_that_is_called_bad_is_an_error_of_its_question(server: Server) -> None:
    server.reply = lambda number, body: (400, b"too many pixels", {}) if text_of(body) == "q1" else completion("yes")
    answers = list(server.answerer().answer([Question("q0"), Question("q1"), Question("q2")]))
    assert [answer.text for answer in answers] == ["yes", "", "yes"]
    assert answers[1].error == "ValueError: the endpoint answered 400: too many pixels"


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


@pytest.mark.parametrize("status", [403, 404])
def test_once_answers_came_a_refusal_is_about_its_question(server: Server, status: int) -> None:
    server.reply = lambda number, body: (status, b"no", {}) if text_of(body) == "q1" else completion("yes")
    answers = list(server.answerer(concurrency=1).answer([Question(f"q{index}") for index in range(3)]))
    assert [bool(answer.error) for answer in answers] == [False, True, False]


def test_a_question_that_a_filter_flags_ends_no_run(server: Server) -> None:
    flagged: Any = (403, {"error": {"code": 403, "message": "Your input was flagged by moderation"}}, {})
    server.reply = lambda number, body: flagged if number == 0 else completion("yes")
    answers = list(server.answerer(concurrency=1).answer([Question("q0"), Question("q1")]))
    assert [answer.text for answer in answers] == ["", "yes"] and "flagged" in answers[0].error


@pytest.mark.parametrize(
    "failure",
    [
        (402, {"error": {"message": "Insufficient Balance"}}, {}),
        (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, {"Retry-After": "1"}),
    ],
)
def test_an_account_without_credit_ends_the_run_at_once(server: Server, failure: Reply) -> None:
    server.reply = failing(99, failure)
    with pytest.raises(InputError, match="the account is out of credit"):
        list(server.answerer().answer([Question("q")]))
    assert len(server.bodies) == 1


def test_a_server_that_repeats_the_key_does_not_show_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-12345\n")  # as `cat key` gives it
    server.reply = failing(99, (401, {"error": {"message": "Incorrect API key provided: sk-12345"}}, {}))
    with pytest.raises(InputError, match=r"Incorrect API key provided: <hidden>") as raised:
        list(server.answerer(key_variable="MY_KEY").answer([Question("q")]))
    assert "12345" not in str(raised.value)
    assert server.headers[0]["Authorization"] == "Bearer sk-12345"


def test_messages_and_sampling_reach_the_server(server: Server) -> None:
    opening = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    answerer = EndpointAnswerer(Endpoint(server.url, "tiny"), opening)
    list(answerer.answer([Question("q", sampling=Sampling(0.7, 5))]))
    body = server.bodies[0]
    assert body["messages"] == [*opening, {"role": "user", "content": [{"type": "text", "text": "q"}]}]
    assert (body["temperature"], body["seed"]) == (0.7, 5)


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_picture_in_another_turn_than_the_users_is_not_dropped(server: Server, role: str) -> None:
    before = (Turn("user", "look"), Turn(role, "see <image 1>"))
    (answer,) = server.answerer().answer([Question("q", (opened(picture(0)),), turns=before)])
    assert answer.text == "" and f"got one in a turn of {role}. Write its mark into a question" in answer.error
    assert not server.bodies


def test_settings_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match="api_key_env: the environment variable MY_KEY is not set"):
        Endpoint("http://127.0.0.1/v1", "tiny", "MY_KEY")
    with pytest.raises(ConfigError, match="endpoint: expected an address such as"):
        Endpoint("127.0.0.1:8000", "tiny")
    monkeypatch.setenv("MY_KEY", "sk\u20ac")
    with pytest.raises(ConfigError, match="MY_KEY holds characters that no key has"):
        Endpoint("http://127.0.0.1/v1", "tiny", "MY_KEY")
    with pytest.raises(ConfigError, match="timeout_s: expected more than 0, got 0"):
        Endpoint("http://127.0.0.1/v1", "tiny", timeout_s=0)
    with pytest.raises(ConfigError, match="concurrency: expected at least 1, got 0"):
        Endpoint("http://127.0.0.1/v1", "tiny", concurrency=0)
