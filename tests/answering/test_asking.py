"""Answers are kept as they come in any order, and questions that fail hold up neither a run nor its resumption."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sightline.answering.asking import ask_all
from sightline.answering.journal import Journal
from sightline.answering.requests import Request, request_of
from sightline.errors import MachineError
from sightline.types import Answer, Question
from tests.endpoint import Reply, Server, completion, text_of
from tests.evaluation.answerers import StoredAnswerer


def requests(count: int) -> list[Request]:
    return [request_of(Question(f"q{index}"), "model") for index in range(count)]


def always_failing(*texts: str, status: int = 500) -> Any:
    return lambda number, body: (status, b"oops", {}) if text_of(body) in texts else completion(text_of(body))


def test_an_answer_is_in_the_journal_while_an_earlier_question_is_still_waited_for(
    server: Server, tmp_path: Path
) -> None:
    kept: list[int] = []
    release = threading.Event()

    def reply(number: int, body: dict[str, Any]) -> Reply:
        if text_of(body) == "q0":
            release.wait(10)
        return completion("yes")

    def progress(done: int, total: int) -> None:
        kept.append(len(Journal(tmp_path).read()))
        if done == 5:
            release.set()

    server.reply = reply
    ask_all(server.answerer(concurrency=2), requests(6), Journal(tmp_path), progress=progress)
    assert kept == [1, 2, 3, 4, 5, 6]


def test_half_an_emoji_is_kept_as_one_mark(tmp_path: Path) -> None:
    answers = ask_all(StoredAnswerer({"q0": "a \ud83d"}), requests(1), Journal(tmp_path))
    assert [answer.text.encode("utf-8", "replace") for answer in answers.values()] == [b"a ?"]
    assert [answer.text for answer in Journal(tmp_path).read().values()] == ["a \ufffd"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_run_goes_on_and_resumes_past_a_question_that_always_fails(
    server: Server, tmp_path: Path, status: int
) -> None:
    server.reply = always_failing("q1", status=status)
    asked = requests(4)
    for _ in range(2):
        answers = ask_all(server.answerer(retries=0), asked, Journal(tmp_path))
        assert [bool(answers[request.key].error) for request in asked] == [False, True, False, False]
    assert [text_of(body) for body in server.bodies[4:]] == ["q1"]


def test_a_question_of_a_model_here_that_always_fails_ends_no_resumed_run_either(tmp_path: Path) -> None:
    stored: dict[str, str | Exception] = {"q0": "a", "q1": ValueError("broken")}
    for _ in range(2):
        answers = ask_all(StoredAnswerer(dict(stored)), requests(2), Journal(tmp_path))
        assert sorted(answer.error for answer in answers.values()) == ["", "broken"]


def test_many_failures_in_a_row_end_the_run_which_then_begins_with_what_was_never_asked(
    server: Server, tmp_path: Path
) -> None:
    server.reply = always_failing(*(f"q{index}" for index in range(2, 5)))
    answerer = server.answerer(retries=0, concurrency=1, patience=3)
    with pytest.raises(
        MachineError, match=r"no answer to 3 questions in a row; the last: .*HTTP 500 oops.* Look after it"
    ):
        ask_all(answerer, requests(10), Journal(tmp_path))
    server.bodies.clear()
    answers = ask_all(answerer, requests(10), Journal(tmp_path))
    # One that was in flight when the run ended may come late.
    assert [text_of(body) for body in server.bodies[-8:]] == ["q5", "q6", "q7", "q8", "q9", "q2", "q3", "q4"]
    assert sum(bool(answer.error) for answer in answers.values()) == 3


def test_failures_between_answers_end_no_run(server: Server) -> None:
    server.reply = always_failing(*(f"q{index}" for index in range(0, 12, 2)))
    answers = ask_all(server.answerer(retries=0, concurrency=1, patience=2), requests(12))
    assert sum(bool(answer.error) for answer in answers.values()) == 6


def test_a_server_that_answers_nothing_at_all_is_told(server: Server) -> None:
    server.reply = always_failing("q0", "q1")
    with pytest.raises(MachineError, match="answered none of 2 questions. The first error: .* HTTP 500 oops"):
        ask_all(server.answerer(retries=0), requests(2))


def test_how_an_answer_ended_and_was_asked_for_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin()
    said = {
        "a": Answer("B", finish_reason="length", changes=("temperature left out",)),
        "b": Answer(finish_reason="stop"),
    }
    journal.append(said)
    found = Journal(tmp_path).read()
    assert (found["a"].finish_reason, found["a"].changes) == ("length", ("temperature left out",))
    assert (found["b"].text, found["b"].finish_reason) == ("", "stop")
