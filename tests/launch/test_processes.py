"""Which process this is, by the launcher's variables, and what the first of them does for all."""

from __future__ import annotations

import pytest

from sightline.errors import ConfigError
from sightline.launch.processes import (
    COUNT,
    LOCAL_RANK,
    RANK,
    Processes,
    is_first,
    is_of_lost_process,
    joined_processes,
    launched,
    say,
)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*COUNT, *RANK, *LOCAL_RANK, "MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, 1, 0)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, (0, 1, 0)),
        ({"WORLD_SIZE": ""}, (0, 1, 0)),
        ({"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}, (3, 4, 1)),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, (1, 2, 1)),
        ({"PMI_SIZE": "2", "PMI_RANK": "0"}, (0, 2, 0)),
    ],
)
def test_the_launchers_variables_say_which_process_this_is(
    variables: dict[str, str], expected: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    own = launched()
    assert (own.rank, own.count, own.local) == expected
    assert is_first() == (expected[0] == 0)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "2 processes share this run, each with a RANK from 0 to 1; got no RANK"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "each with a RANK from 0 to 1; got RANK 2"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE: expected a whole number in this variable, got 'two'"),
        ({"WORLD_SIZE": "2", "RANK": "x"}, "RANK: expected a whole number"),
    ],
)
def test_variables_that_do_not_go_together_are_refused(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message), joined_processes():
        pass
    assert is_first(), "so that the error is said"


def test_one_process_alone_does_all_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with joined_processes() as own, joined_processes() as inner:
        assert own == inner == Processes()
        assert own.first_does(lambda: 3) == own.in_turn(lambda: 3) == 3
        own.wait()
        say("one line")
    assert capsys.readouterr().err == "one line\n"


def test_a_process_that_accelerate_started_alone_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`accelerate launch --num_processes 2 --cpu` (1.15) leaves these two variables, and starts one process."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    with joined_processes():
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with joined_processes(), joined_processes():
        pass
    assert capsys.readouterr().err.count("asked for several processes, but started this one alone") == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:2"), True),
        (RuntimeError("ncclRemoteError: A call failed possibly due to a remote process exiting prematurely."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (BrokenPipeError("Broken pipe"), False),
    ],
)
def test_torchs_errors_about_a_lost_process_are_known(error: Exception, expected: bool) -> None:
    assert is_of_lost_process(error) == expected
