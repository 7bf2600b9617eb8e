"""Show the progress of training as a bar or as lines, in place of transformers' printing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress import Progress
from rich.text import Text
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK

from sightline.errors import MachineError
from sightline.progress import ProgressLines, new_bar, shows_bars

SHOWN_METRICS = ("loss", "mean_token_accuracy", "rewards/accuracies", "rewards/margins", "eval_loss", "learning_rate")


class ProgressBar(TrainerCallback):
    """How far a run is, on stderr: a bar with the latest metrics below it, or a plain line whenever they are logged."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._lines: ProgressLines | None = None
        self._bar: Progress | None = None
        self._task: Any = None
        self._metrics = Text()
        self._live: Live | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        if args.disable_tqdm or not shows_bars():
            self._lines = ProgressLines(self._title, state.global_step)
            return
        self._bar = new_bar()
        self._task = self._bar.add_task(self._title, total=state.max_steps, completed=state.global_step)
        self._live = Live(Group(self._bar, self._metrics), console=self._bar.console)
        self._live.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=state.global_step)
        if self._lines is not None:
            self._lines.move(state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        known = [f"{name} {float(logs[name]):.4g}" for name in SHOWN_METRICS if name in (logs or {})]
        if not known:
            return
        self._metrics.plain = "  ".join(known)
        if self._lines is not None:
            step = state.global_step
            self._lines.write(", ".join([f"step {step:,} of {state.max_steps:,}", *known]), step, state.max_steps)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the bar as it is, and the terminal's cursor and streams as they were before."""
        if self._live is not None:
            self._live.stop()
        self._live = self._bar = self._lines = None


def require_reporters(training: Any) -> None:
    """Raise MachineError where a package that `report_to` names is not installed."""
    known = INTEGRATION_TO_CALLBACK.keys() - set(get_available_reporting_integrations())
    missing = [name for name in training.report_to if name in known]
    if missing:
        raise MachineError(
            f"report_to: {', '.join(missing)} is not installed. Run `pip install {' '.join(missing)}`, or set "
            "report_to to none."
        )


def add_callbacks(trainer: Trainer, callbacks: Sequence[TrainerCallback]) -> None:
    """Gives the trainer the callbacks in place of transformers' own printing."""
    for callback in (DEFAULT_PROGRESS_CALLBACK, ProgressCallback, PrinterCallback):  # the first is a notebook's there
        trainer.remove_callback(callback)
    for added in callbacks:
        trainer.add_callback(added)
