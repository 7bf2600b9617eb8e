"""Handle Ctrl-C, SIGTERM and SIGHUP: finish the step, write a checkpoint, end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

from sightline.errors import Stopped
from sightline.launch.processes import say
from sightline.training.checkpoints import CheckpointTrainer
from sightline.training.random_states import RandomStates, random_states

SIGHUP = getattr(signal, "SIGHUP", None)  # Windows has none
SIGNALS = tuple(number for number in (signal.SIGINT, signal.SIGTERM, SIGHUP) if number is not None)
LAUNCHER_REPEATS_S = 5  # a launcher passes on what the terminal had sent to all of its processes already


class Interruption(TrainerCallback):
    """The first signal ends training with a checkpoint; another ends it at once.

    Attributes:
        number: the signal that came, here or in another process of the run; None where none did.
        ends: whether training ends early for it, in all processes alike.
    """

    def __init__(self, trainer: CheckpointTrainer) -> None:
        self.number: int | None = None
        self.ends = False
        self._trainer = trainer
        self._since = 0.0
        self._saved_step = -1
        self._in_step = self._changing = False
        self._waits = False
        self._states: RandomStates | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listens to the signals that are not ignored, as SIGHUP is under nohup; outside the main thread to none."""
        before = {}
        try:
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, self._note)
        except ValueError:
            pass  # not the main thread: signals are somebody else's to handle
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def as_exception(self) -> BaseException:
        """What ends the command as the signal would have."""
        return KeyboardInterrupt() if self.number == signal.SIGINT else Stopped(int(self.number or signal.SIGTERM))

    @property
    def place(self) -> str:
        """Where in the run it is, for messages."""
        step = self._trainer.state.global_step
        return f"step {step + 1}" if self._in_step or not step else f"after step {step}"

    def ends_at_once(self, error: BaseException) -> bool:
        """Whether the error is a signal that waits for no checkpoint: the second one, or one that was not heard."""
        return isinstance(error, KeyboardInterrupt | Stopped) and not self._waits

    def save(self) -> None:
        """Writes the checkpoint of the last whole step, as if it had been asked for then; one that is there is left.

        Raises:
            RuntimeError: a step failed while it changed the weights.
            Exception: whatever ends the writing.
        """
        step = self._trainer.state.global_step
        if self._states is None or self._saved_step == step:
            return  # nothing was done since the run began, or since its checkpoint
        if self._changing:
            raise RuntimeError("the step failed while it changed the weights")
        self._states.put_back()
        self._trainer.loss_window.forget_half_step()
        self._trainer.save_alone()
        self._saved_step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._in_step = True
        self._end_between_passes(args)

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._end_between_passes(args)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._changing = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._in_step = self._changing = False
        self._states = random_states()
        return self._stop_if_asked(args, control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self._states is not None:  # an evaluation draws, too, and the next step goes on from there
            self._states = random_states()
        return self._stop_if_asked(args, control)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An evaluation may outlast the patience of who sent the signal: what was trained is saved before it ends."""
        if self.number is None or args.world_size > 1 or self._states is None or self._saved_step == state.global_step:
            return
        now = random_states()
        self.save()
        now.put_back()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._saved_step = state.global_step
        control.should_training_stop = control.should_training_stop or self._asked(args)
        return control

    def _stop_if_asked(self, args: Any, control: Any) -> Any:
        if self._asked(args):
            control.should_save = True
            control.should_training_stop = True
        return control

    def _end_between_passes(self, args: Any) -> None:
        """Leaves a step that has just begun; several processes finish it together."""
        if self.number is not None and args.world_size == 1:
            raise self.as_exception()

    def _asked(self, args: Any) -> bool:
        """Whether a signal came to any process of the run: they save together, after the same step."""
        if args.world_size > 1:
            asked = torch.tensor(self.number or 0, device=self._trainer.accelerator.device)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
            if int(asked):
                self._hear(int(asked))
            self.ends = bool(int(asked))
        else:
            self.ends = self.number is not None
        return self.ends

    def _hear(self, number: int) -> None:
        """Takes note of the first signal, which may have come to another process and come here, too, in a moment."""
        if self.number is None:
            self.number, self._since, self._waits = number, time.monotonic(), True

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self._hear(number)
            name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            say(f"\n{name}: saving a checkpoint after this step ({name} again to stop at once).")
            return
        launched = self._trainer.args.world_size > 1
        if number == SIGHUP or (launched and time.monotonic() - self._since < LAUNCHER_REPEATS_S):
            return  # a terminal that goes sends it twice: from the system, and from the shell
        self.number, self._waits = number, False
        raise self.as_exception()
