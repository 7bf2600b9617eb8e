"""Callbacks of every training run: a progress bar, a metrics file, and Ctrl-C that leaves a checkpoint."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from sightline.console import console_on
from sightline.runs import RunFolder

SHOWN_METRICS = ("loss", "mean_token_accuracy", "rewards/accuracies", "rewards/margins", "eval_loss", "learning_rate")


class ProgressBar(TrainerCallback):
    """One rich bar on stderr with the latest metrics beside it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None
        self._task: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=console_on(sys.stderr),
        )
        self._bar.start()
        self._task = self._bar.add_task(self._title, total=state.max_steps, completed=state.global_step, metrics="")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self._bar is not None and logs:
            shown = [f"{name} {float(logs[name]):.4g}" for name in SHOWN_METRICS if name in logs]
            if shown:
                self._bar.update(self._task, metrics="  ".join(shown))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class MetricsFile(TrainerCallback):
    """Every logged record as a line of the run folder's metrics.jsonl."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs:
            numbers = {name: _number(value) for name, value in logs.items()}
            self._folder.append_metrics({"step": state.global_step, **numbers})


class Interruption(TrainerCallback):
    """The first Ctrl-C ends training after the running step, with a checkpoint; the second ends it at once."""

    def __init__(self) -> None:
        self.came = False
        self._previous: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        try:
            self._previous = signal.signal(signal.SIGINT, self._note)
        except ValueError:
            self._previous = None  # not the main thread: Ctrl-C is somebody else's to handle

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self.came:
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        print("\nInterrupted: saving a checkpoint after this step (Ctrl-C again to stop at once).", file=sys.stderr)


def add_callbacks(trainer: Trainer, folder: RunFolder, title: str) -> Interruption:
    """Give the trainer our callbacks in place of transformers' own printing; returns the one that knows of Ctrl-C."""
    interruption = Interruption()
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    for callback in (ProgressBar(title), MetricsFile(folder), interruption):
        trainer.add_callback(callback)
    return interruption


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
