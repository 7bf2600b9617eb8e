"""Callbacks of every training run: a progress bar, and a metrics file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from sightline.console import console_on
from sightline.errors import MachineError
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
        self.close()

    def close(self) -> None:
        """Takes the bar off the terminal, whose cursor and streams are as before."""
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


def require_reporters(training: Any) -> None:
    """Raise MachineError where a package that `report_to` names is not installed."""
    known = INTEGRATION_TO_CALLBACK.keys() - set(get_available_reporting_integrations())
    missing = [name for name in training.report_to if name in known]
    if missing:
        raise MachineError(
            f"report_to: {', '.join(missing)} is not installed. Run `pip install {' '.join(missing)}`, or set "
            "report_to to none."
        )


def add_callbacks(trainer: Trainer, folder: RunFolder, others: Sequence[TrainerCallback]) -> None:
    """Gives the trainer the metrics file and `others` in place of transformers' own printing."""
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    for added in (MetricsFile(folder), *others):
        trainer.add_callback(added)


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
