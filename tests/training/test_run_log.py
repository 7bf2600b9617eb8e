"""A run's page is there from its start, says how the run ended, costs little, and never ends a run itself."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sightline.engine.selftest import RouteChoice
from sightline.errors import DataError, Stopped
from sightline.logbook.story import CUT, read_story
from sightline.runs import RunFolder
from sightline.training import run_log
from sightline.training.run_log import RunLog

TOKEN = "planted-Token0123456789"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("sightline.training.run_log.time.perf_counter", found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "run")
    found.begin({"dataset_name": "rows.jsonl", "hub_token": TOKEN, "learning_rate": 1e-3})
    return found


class Run:
    """A trainer that does what it is told, and the log of it."""

    def __init__(self, folder: RunFolder, first: bool = True, step: int = 0) -> None:
        self.state = SimpleNamespace(is_world_process_zero=first, max_steps=100, global_step=step)
        self.args = SimpleNamespace(
            per_device_train_batch_size=4, gradient_accumulation_steps=2, world_size=1,
            to_dict=lambda: {"learning_rate": 1e-3, "hub_token": TOKEN},
        )  # fmt: skip
        self.trainer = SimpleNamespace(
            model=SimpleNamespace(config=SimpleNamespace(_name_or_path="nano")), state=self.state,
            data_collator=None,
            train_dataset=[1, 2, 3], eval_dataset={"a": [1]}, route=RouteChoice("mask", "it matches"),
            shared_work=None, row_guard=SimpleNamespace(left_out=2), shown_rows=lambda: ((), "No rows."),
            callback_handler=SimpleNamespace(callbacks=[]),
        )  # fmt: skip
        self.log = RunLog(cast(Any, self.trainer), folder, "SFT", ["rows.jsonl: 3 rows"])

    def begin(self) -> None:
        self.log.on_train_begin(self.args, self.state, None)

    def do_step(self, clock: Clock, seconds: float, loss: float = 1.0) -> None:
        clock.now += seconds
        self.state.global_step += 1
        self.log.on_step_end(self.args, self.state, None)
        self.log.on_log(self.args, self.state, None, logs={"loss": loss})


def page(folder: RunFolder) -> str:
    return (folder.path / "report.html").read_text(encoding="utf-8")


def test_the_page_is_there_before_the_first_step_and_holds_no_secret(folder: RunFolder) -> None:
    run = Run(folder)
    run.begin()
    html = page(folder)
    assert "In training: step 0 of 100" in html and "No step has been logged yet." in html
    assert "rows.jsonl: 3 rows" in html and "it matches" in html and "left out of batches" in html
    assert TOKEN not in html and TOKEN not in (folder.path / "training.json").read_text()
    story = read_story(folder.path)
    assert story is not None and story.rows == {"training": 3, "evaluation a": 1} and story.rows_per_step == 8


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (None, "finished", "Finished: step 1 of 100"),
        (KeyboardInterrupt(), "stopped", "Stopped at step 1 of 100"),
        (Stopped(signal.SIGTERM), "stopped", ": SIGTERM"),
        (DataError(f"rows.jsonl row 3: https://h/?token={TOKEN}"), "failed", "DataError: rows.jsonl row 3"),
    ],
)
def test_the_page_says_how_the_run_ended(
    error: BaseException | None, state: str, said: str, folder: RunFolder, clock: Clock
) -> None:
    run = Run(folder)
    try:
        with run.log.kept():
            run.begin()
            run.do_step(clock, 0.5)
            if error is not None:
                raise error
    except (Exception, KeyboardInterrupt, SystemExit) as raised:
        assert raised is error
    story = read_story(folder.path)
    assert story is not None and story.state == state and said in page(folder) and TOKEN not in page(folder)


def test_pages_keep_apart_by_seconds_and_by_what_they_cost(
    folder: RunFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    cost = 0.01

    def render(report: Any) -> str:
        written.append(clock.now)
        clock.now += cost
        return "page"

    monkeypatch.setattr(run_log, "render_report", render)
    run = Run(folder)
    run.begin()
    for _ in range(100):
        run.do_step(clock, 0.1)
    assert len(written) == 3 and written[1] - written[0] == pytest.approx(5.1, abs=0.1)
    cost = 0.5
    for _ in range(1000):
        run.do_step(clock, 0.1)
    assert written[-1] - written[-2] == pytest.approx(50, abs=1), "a page of half a second comes every 50"


def test_seconds_are_those_of_training_alone_and_go_on_where_a_run_is_resumed(folder: RunFolder, clock: Clock) -> None:
    run = Run(folder)
    run.begin()
    run.do_step(clock, 2.0)
    clock.now += 30  # an evaluation
    run.log.on_evaluate(run.args, run.state, None)
    run.do_step(clock, 2.0)
    clock.now += 10
    run.log.on_save(run.args, run.state, None)
    run.do_step(clock, 2.0)
    resumed = Run(folder, step=3)
    resumed.begin()
    resumed.do_step(clock, 2.0)
    assert [row["seconds"] for row in folder.read_metrics()] == [2.0, 4.0, 6.0, 8.0]
    story = read_story(folder.path)
    assert story is not None and [(part.until, part.told) for part in story.parts] == [(3, CUT)]
    assert list(resumed.log.metrics["loss"].steps) == [1.0, 2.0, 3.0, 4.0], "steps go on"


def test_what_is_not_finite_is_null_in_the_file_and_named_on_the_page(folder: RunFolder, clock: Clock) -> None:
    run = Run(folder)
    with run.log.kept():
        run.begin()
        run.do_step(clock, 1.0, float("nan"))
        run.do_step(clock, 1.0, 0.5)
    assert [row["loss"] for row in folder.read_metrics()] == [None, 0.5]
    assert "was not finite (NaN or infinite) at step 1: the line has gaps there." in page(folder)


def test_a_page_that_cannot_be_made_is_said_once_and_training_goes_on(
    folder: RunFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def render(report: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_log, "render_report", render)
    run = Run(folder)
    with run.log.kept():
        run.begin()
        run.do_step(clock, 60.0)
    assert capsys.readouterr().err.count("report.html could not be written, and training goes on without it") == 1
    assert json.loads((folder.path / "metrics.jsonl").read_text())["loss"] == 1.0


def test_rows_that_cannot_be_shown_are_said_on_the_page(folder: RunFolder) -> None:
    def shown_rows() -> Iterator[Any]:
        raise DataError("rows.jsonl row 1: its picture is gone")

    run = Run(folder)
    run.trainer.shown_rows = shown_rows
    run.begin()
    assert "The rows could not be shown: DataError: rows.jsonl row 1: its picture is gone" in page(folder)


def test_of_several_processes_only_the_first_writes(folder: RunFolder, clock: Clock) -> None:
    run = Run(folder, first=False)
    with run.log.kept():
        run.begin()
        run.do_step(clock, 60.0)
    assert not (folder.path / "report.html").exists() and not (folder.path / "metrics.jsonl").exists()
