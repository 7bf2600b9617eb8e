"""Answers are kept as they come in any order, and questions that fail hold up neither a run nor its resumption."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sightline.answering import asking
from sightline.answering.asking import Journal, ask_all, windows
from sightline.answering.requests import Request, request_of
from sightline.errors import MachineError
from sightline.launch.processes import Processes
from sightline.types import Answer, OptionScore, Question
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


ANSWERS: dict[str, str | Exception] = {f"q{index}": f"a{index}" for index in range(6)}


@dataclass(frozen=True)
class Named:
    """A picture that nobody opens."""

    key: str


def asked(count: int, pictures: int = 2) -> list[Request]:
    return [
        request_of(Question(f"q{index}", (Named(f"p{index % pictures}"),)), "model")  # type: ignore[arg-type]
        for index in range(count)
    ]


def lines(run: Path) -> Counter[str]:
    """How often each key stands in the journal."""
    return Counter(
        json.loads(line)["key"] for path in (run / "journal").iterdir() for line in path.read_text().splitlines()
    )


def test_what_the_journal_holds_is_not_asked_again(tmp_path: Path) -> None:
    ask_all(StoredAnswerer(dict(ANSWERS)), asked(4), Journal(tmp_path))
    answerer = StoredAnswerer(dict(ANSWERS))
    answers = ask_all(answerer, asked(6), Journal(tmp_path))
    assert [question.text for question in answerer.asked] == ["q4", "q5"]
    assert [answers[request.key].text for request in asked(6)] == list(ANSWERS.values())


def test_equal_requests_are_asked_once_and_other_settings_are_other_requests(tmp_path: Path) -> None:
    answerer = StoredAnswerer(dict(ANSWERS))
    ask_all(answerer, asked(3) * 3)
    assert len(answerer.asked) == 3
    question = Question("q", (Named("p"),))  # type: ignore[arg-type]
    different = [
        request_of(question, "model"),
        request_of(question, "another model"),
        request_of(Question("q"), "model"),
        request_of(Question("q", question.pictures, 64), "model"),
        request_of(Question("q", question.pictures, options=("A", "B")), "model"),
        request_of(Question("q", question.pictures, options=("A", "B", "C")), "model"),
    ]
    assert len({request.key for request in different}) == 6
    assert request_of(Question("q", question.pictures, 9, ("A", "B")), "model").key == different[4].key


def test_an_error_is_kept_and_asked_again_when_the_run_goes_on(tmp_path: Path) -> None:
    broken = StoredAnswerer({**ANSWERS, "q1": RuntimeError("out of memory")})
    first = ask_all(broken, asked(3), Journal(tmp_path))
    assert first[asked(2)[1].key] == Answer(error="out of memory")
    again = StoredAnswerer(dict(ANSWERS))
    assert ask_all(again, asked(3), Journal(tmp_path))[asked(2)[1].key].text == "a1"
    assert [question.text for question in again.asked] == ["q1"]
    assert Journal(tmp_path).read()[asked(2)[1].key].text == "a1"


def test_a_torn_last_line_is_dropped_with_a_message_and_its_question_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path)
    ask_all(StoredAnswerer(dict(ANSWERS)), asked(3), journal)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-5])
    answerer = StoredAnswerer(dict(ANSWERS))
    answers = ask_all(answerer, asked(3), Journal(tmp_path))
    assert len(answerer.asked) == 1 and len(answers) == 3
    assert "the last line was cut short by a crash; its question is asked again" in capsys.readouterr().err
    assert set(lines(tmp_path).values()) == {1}


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin()
    answers = {
        "a": Answer("ein Bär\nund \u2028 mehr"),
        "b": Answer(""),
        "c": Answer(options=(OptionScore(-1.25, 2), OptionScore(-0.1, 1))),
        "d": Answer(error="too large"),
    }
    journal.append(answers)
    assert Journal(tmp_path).read() == answers


def test_requests_about_one_picture_stay_in_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "WINDOW", 3)
    found = [[request.question.text for request in window] for window in windows(asked(6, pictures=3))]
    assert found == [["q0", "q3"], ["q1", "q4"], ["q2", "q5"]]


def test_processes_share_the_pictures_and_read_what_all_answered(tmp_path: Path) -> None:
    class Alone(Processes):
        def wait(self) -> None:
            """Nobody to wait for."""

    wanted = []
    for rank in (0, 1):
        answerer = StoredAnswerer({f"q{index}": "x" for index in range(40)})
        answers = ask_all(answerer, asked(40, pictures=10), Journal(tmp_path, rank), Alone(rank, 2))
        wanted.append({question.pictures[0].key for question in answerer.asked})
    assert wanted[0] and wanted[1] and not wanted[0] & wanted[1]
    assert len(answers) == 40 and set(lines(tmp_path).values()) == {1}


def test_a_run_that_answers_nothing_stops_early(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="stored answered none of 3 questions. The first error: broken"):
        ask_all(StoredAnswerer({f"q{index}": RuntimeError("broken") for index in range(3)}), asked(3))


# Answers a question a millisecond; what it says depends on the question alone.
KILLED_RUN = """
import json, sys, time
from pathlib import Path
from sightline.answering.asking import ask_all
from sightline.answering.asking import Journal
from sightline.launch.processes import Processes
from sightline.evaluation.requests import request_of
from sightline.types import Answer, Question

class Picture:
    def __init__(self, key):
        self.key = key

class Slow:
    name = "slow"
    def answer(self, questions):
        for question in questions:
            time.sleep(0.001)
            yield Answer(question.text[::-1] * 40)

class Launched(Processes):
    def wait(self):
        pass

run, rank, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
requests = [request_of(Question(f"question {i}", (Picture(str(i % 40)),)), "model") for i in range(400)]
ask_all(Slow(), requests, Journal(run, rank), Launched(rank, count))
"""


@pytest.mark.slow
def test_a_run_killed_at_20_random_points_at_1_and_2_processes_answers_each_item_once(tmp_path: Path) -> None:
    """SIGKILL once the journal grew by a random number of lines; the process count changes from attempt to attempt."""
    drawn = random.Random(0)
    kills = 0
    while kills < 20:
        count = drawn.choice((1, 2))
        running = [_start(tmp_path, rank, count) for rank in range(count)]
        goal = _size(tmp_path) + drawn.randrange(1, 3000)
        while _size(tmp_path) < goal and any(process.poll() is None for process in running):
            time.sleep(0.001)
        for process in running:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        assert len(lines_so_far(tmp_path)) < 400, "the run must not end before it was killed often enough"
    for rank in range(2):
        assert _start(tmp_path, rank, 2).wait() == 0
    _start(tmp_path / "whole", 0, 1).wait()
    assert set(lines(tmp_path).values()) == {1} and len(lines(tmp_path)) == 400
    assert Journal(tmp_path).read() == Journal(tmp_path / "whole").read()


def lines_so_far(run: Path) -> set[str]:
    """Keys of the whole lines of a journal that may have torn ones."""
    return set(Journal(run).read())


def _start(run: Path, rank: int, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", KILLED_RUN, str(run), str(rank), str(count)], env=os.environ)


def _size(run: Path) -> int:
    return sum(path.stat().st_size for path in (run / "journal").glob("*.jsonl"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: b"\0" * len(line),
        lambda line: line[: len(line) // 2],
        lambda line: line.replace(b"a2", b"a9"),
        lambda line: b"[]",
        lambda line: b'{"key": "k"}',
        lambda line: b'{"key": 7, "text": ["x"]}',
        lambda line: b"\xff\xfe" + line,
    ],
)
def test_a_damaged_line_is_dropped_counted_and_asked_again(
    damage: Callable[[bytes], bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = asked(6)
    whole = ask_all(StoredAnswerer(ANSWERS), wanted, Journal(tmp_path))
    path = tmp_path / "journal" / "0.jsonl"
    lines = path.read_bytes().splitlines()
    place = next(index for index, line in enumerate(lines) if b'"a2"' in line)
    lines[place] = damage(lines[place])
    path.write_bytes(b"\n".join(lines) + b"\n")
    again = StoredAnswerer(ANSWERS)
    assert ask_all(again, wanted, Journal(tmp_path)) == whole
    assert [question.text for question in again.asked] == ["q2"]
    said = capsys.readouterr().err
    assert f"{path}: 1 " in said and ("left out" in said or "asked again" in said)
