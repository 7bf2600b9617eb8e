"""What a run logs, where the wall clock is set while it trains."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sightline.cli.main import run
from sightline.training.run_log import steady_times
from tests.cli.test_training import command, write_rows
from tests.tiny import tiny_llava, tiny_processor, vqa_rows


def test_times_of_a_clock_that_went_back_are_those_of_the_steady_clock() -> None:
    logged = {"train_runtime": -735.0, "train_samples_per_second": -0.2, "train_loss": 1.5}
    steady = {"train_runtime": 49.0, "train_samples_per_second": 3.0, "train_loss": 1.5}
    assert steady_times(logged, 49.0, 1.0) == steady
    logged = {"eval_runtime": 3600.5, "eval_steps_per_second": 0.5, "eval_loss": 2.0}
    assert steady_times(logged, 49.0, 1.0) == {"eval_runtime": 1.0, "eval_steps_per_second": 1800.25, "eval_loss": 2.0}


@pytest.mark.parametrize("logged", [{"train_runtime": 49.3, "loss": 1.0}, {"eval_runtime": 0.4}, {"loss": 2.0}])
def test_times_that_may_be_right_stay(logged: dict[str, float]) -> None:
    assert steady_times(logged, 49.0, 1.0) == logged


@pytest.mark.slow
def test_a_run_whose_clock_goes_back_logs_the_seconds_that_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_llava(1).save_pretrained(tmp_path / "model")
    tiny_processor().save_pretrained(tmp_path / "model")
    monkeypatch.setattr("transformers.trainer_utils.time", SimpleNamespace(time=lambda: time.time() - 800))
    rows, output = write_rows(tmp_path, vqa_rows(12, 4)), tmp_path / "run"
    evaluation = ["--eval_strategy", "steps", "--eval_steps", "3", "--test_split_size", "0.25"]
    start = time.perf_counter()
    assert run(command("sft", tmp_path / "model", rows, output, *evaluation)) == 0
    took = time.perf_counter() - start
    logged = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    times = [value for row in logged for name, value in row.items() if name.endswith(("_runtime", "_per_second"))]
    assert len(times) >= 6 and all(value > 0 for value in times)
    assert [row["train_runtime"] < took for row in logged if "train_runtime" in row] == [True]
