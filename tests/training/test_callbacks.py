"""What a run shows: a plain line at each logging step in a log, step and times whole on a narrow terminal."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace

import pytest

from sightline.training.callbacks import ProgressBar

LOGS = {
    "loss": 0.68936, "grad_norm": 1.5, "mean_token_accuracy": 0.5, "rewards/accuracies": 1.0,
    "rewards/margins": 0.00743, "learning_rate": 5e-07, "epoch": 1.0,
}  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, monkeypatch, disable_tqdm=False):
    """What a run of six steps that logs every second one writes to stderr."""
    monkeypatch.setattr(sys, "stderr", stream)
    bar, args = ProgressBar("DPO"), SimpleNamespace(disable_tqdm=disable_tqdm)
    state = SimpleNamespace(is_world_process_zero=True, max_steps=6, global_step=0)
    bar.on_train_begin(args, state, None)
    for step in range(1, 7):
        state.global_step = step
        bar.on_step_end(args, state, None)
        if step % 2 == 0:
            bar.on_log(args, state, None, logs=LOGS)
    bar.on_log(args, state, None, logs={"train_runtime": 3.0})
    bar.on_train_end(args, state, None)
    return stream.getvalue()


@pytest.mark.parametrize("disable_tqdm", [False, True])
def test_a_log_gets_a_line_with_step_loss_and_time_at_each_logging_step(monkeypatch, disable_tqdm):
    stream = Terminal() if disable_tqdm else io.StringIO()
    lines = shown(stream, monkeypatch, disable_tqdm).splitlines()
    assert [line.split(",")[0] for line in lines] == [f"DPO: step {step} of 6" for step in (2, 4, 6)]
    assert lines[0].endswith("loss 0.6894, mean_token_accuracy 0.5, rewards/accuracies 1, rewards/margins 0.00743, "
                             "learning_rate 5e-07, 0 s so far, 0 s left")  # fmt: skip


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_keeps_step_times_and_every_metric(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown(Terminal(), monkeypatch))
    last = text.split("DPO")[-1]
    assert re.search(r" 6/6 \d:\d\d:\d\d \d:\d\d:\d\d\s*\n", last), last
    assert "…" not in text
    assert " ".join(last.split()).endswith(
        "loss 0.6894 mean_token_accuracy 0.5 rewards/accuracies 1 rewards/margins 0.00743 learning_rate 5e-07"
    )
