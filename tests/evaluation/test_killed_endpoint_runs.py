"""Runs that ask a server, killed and stopped at random moments: nothing that was answered is lost or asked again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import Reply, Server, completion, text_of

QUESTIONS, CONCURRENCY = 400, 4


def command(server: Server, rows: Path, run: Path, *flags: str) -> list[str]:
    given = ["--model", "m", "--endpoint", server.url, "--data", str(rows), "--output_dir", str(run)]
    return [sys.executable, "-m", "sightline.cli.main", "eval", *given, "--concurrency", str(CONCURRENCY), *flags]


def answered(run: Path) -> int:
    journal = run / "journal" / "0.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def samples(run: Path) -> list[str]:
    return [json.loads(line)["prediction"] for line in (run / "samples.jsonl").read_text().splitlines()]


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_ended_ten_times_asks_each_question_once_but_for_those_in_flight(
    server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    def reply(count: int, body: dict[str, Any]) -> Reply:
        time.sleep(0.02)
        return completion(text_of(body)[::-1])

    server.reply = reply
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"q{n} ?", "answer": "no"}) + "\n" for n in range(QUESTIONS)))
    assert subprocess.run(command(server, rows, tmp_path / "whole"), capture_output=True).returncode == 0
    server.bodies.clear()
    drawn = random.Random(0)
    run = tmp_path / "run"
    for ended in range(10):
        flags = ["--resume"] if ended else []
        process = subprocess.Popen(command(server, rows, run, *flags), stderr=subprocess.DEVNULL, env=os.environ)
        goal = answered(run) + drawn.randrange(1, QUESTIONS // 12)
        while answered(run) < goal and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(number)
        assert process.wait() == (-number if number == signal.SIGKILL else 128 + number)
    assert answered(run) < QUESTIONS, "it must not end before it was ended often enough"
    assert subprocess.run(command(server, rows, run, "--resume"), capture_output=True).returncode == 0
    assert samples(run) == samples(tmp_path / "whole")
    assert len(server.bodies) <= QUESTIONS + 10 * 2 * CONCURRENCY
