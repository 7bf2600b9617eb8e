"""Processes meet, wait for the slow, end with the dead, and name who does not come."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.errors import ConfigError, MachineError
from sightline.launch import meeting
from sightline.launch.meeting import Failure, Meeting, ProcessLost, meet


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def two(port: int) -> Iterator[list[Meeting]]:
    """The first process and the second, as two threads hold them."""
    both = together(lambda: meet(0, 2, "127.0.0.1", port), lambda: meet(1, 2, "127.0.0.1", port))
    yield both
    for one in both:
        one.leave(stays=False)


def together(*calls: Callable[[], Any]) -> list[Any]:
    """What each gives, or the error that it raises, all at once."""
    found: list[Any] = [None] * len(calls)

    def call(place: int) -> None:
        try:
            found[place] = calls[place]()
        except (MachineError, ConfigError) as error:
            found[place] = error

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_all_go_on_when_the_slowest_has_come(two: list[Meeting]) -> None:
    came: list[str] = []

    def late() -> None:
        time.sleep(0.4)
        came.append("late")
        two[1].wait()

    def early() -> None:
        two[0].wait()
        came.append("early")

    together(early, late)
    assert came == ["late", "early"]


def test_what_the_first_tells_is_heard_in_order(two: list[Meeting]) -> None:
    def say() -> None:
        for value in (None, "checkpoint-3", {"rows": 2}):
            two[0].tell(value)

    assert together(say, lambda: [two[1].hear(0) for _ in range(3)])[1] == [None, "checkpoint-3", {"rows": 2}]


def test_a_failure_ends_who_waits_with_its_message_and_code(
    two: list[Meeting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "SAME_ERROR_S", 0.5)
    failed, waited = together(lambda: two[1].fail(Failure(1, "row 3 has no picture", 2)), two[0].wait)
    assert failed is False, "the first does not say the same, so that the second must speak"
    assert isinstance(waited, ProcessLost) and waited.exit_code == 2 and not waited.said
    assert "rank 1 of the processes ended, and the run with it: row 3 has no picture" in str(waited)


def test_what_all_fail_for_is_said_by_the_first(two: list[Meeting]) -> None:
    assert together(*(lambda own=own: own.fail(Failure(own.rank, "no such file", 2)) for own in two)) == [False, True]


def test_a_process_that_was_killed_ends_who_waits(two: list[Meeting]) -> None:
    lived = meeting._identity().split()
    two[0]._store.set("life/1", " ".join([*lived[:2], "4194999", lived[3]]))  # a number above those of Linux
    (waited,) = together(two[0].wait)
    assert isinstance(waited, ProcessLost) and "rank 1 of" in str(waited) and "as when it is killed" in str(waited)


def test_a_process_of_another_machine_that_gives_no_sign_ends_who_waits(
    two: list[Meeting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "SILENCE_LIMIT_S", 0.5)
    two[0]._store.set("life/1", "another-boot 1 7 1")
    two[1]._over.set()
    (waited,) = together(two[0].wait)
    assert isinstance(waited, ProcessLost) and "rank 1" in str(waited)


def test_a_slow_process_of_another_machine_is_waited_for(two: list[Meeting], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "SILENCE_LIMIT_S", 0.5)
    two[0]._store.set("life/1", "another-boot 1 7 1")

    def slow() -> None:
        for beat in range(7):
            time.sleep(0.3)
            two[1]._store.set("beat/1", f"own {beat}")
        two[1].wait()

    assert together(two[0].wait, slow) == [None, None]


@pytest.mark.parametrize(("own", "missing"), [(0, 1), (1, 0)])
def test_who_does_not_come_is_named_and_then_given_up(
    own: int, missing: int, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("JOIN_LIMIT_S", 1.0), ("FIRST_NOTICE_S", 0.2), ("NEXT_NOTICE_S", 0.5)):
        monkeypatch.setattr(meeting, name, value)
    with pytest.raises(MachineError, match=rf"expected 2 processes to meet at .*{port}, but rank {missing} did not"):
        meet(own, 2, "127.0.0.1", port)
    said = capsys.readouterr().err
    assert f"Waiting for rank {missing} of 2 processes at 127.0.0.1:{port}" in said and 1 < said.count("Waiting") < 5


def test_a_rank_that_comes_twice_is_refused(two: list[Meeting]) -> None:
    address, _, port = two[0].place.rpartition(":")
    with pytest.raises(ConfigError, match="RANK: expected each rank once, got 1 twice"):
        meet(1, 2, address, int(port))


def test_a_port_that_another_program_holds_is_refused(port: int) -> None:
    with socket.socket() as other:
        other.bind(("", port))
        other.listen()
        with pytest.raises(MachineError, match="MASTER_PORT: expected a free port of this machine"):
            meet(0, 2, "127.0.0.1", port)


def test_this_process_lives_and_one_of_its_number_that_began_earlier_does_not(tmp_path: Path) -> None:
    own = meeting._identity()
    assert own and not meeting._is_dead(own)
    assert meeting._is_dead(" ".join([*own.split()[:3], "1"]))
    assert not meeting._is_dead("another-boot 1 7 1") and not meeting._is_dead("")
