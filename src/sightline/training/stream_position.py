"""Keep the position in a stream, so that a resumed run continues there."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from sightline.launch.processes import say


class StreamPosition(TrainerCallback, ExportableState):
    """Counts the passes over a stream; every checkpoint carries the count.

    transformers (5.23) takes a stream of unknown length for one endless epoch: past the end of the first pass it would
    skip all batches of that pass, and begin the next one anew.

    Attributes:
        number: the running pass, from 0.
        began: the optimizer step at which it began.
    """

    def __init__(self, number: int = 0, began: int = 0) -> None:
        self.number = number
        self.began = began
        self._resumed = True  # the next pass that begins is the one that `number` says

    def state(self) -> dict[str, Any]:
        """What a checkpoint's trainer_state.json holds of it."""
        return {"args": {"number": self.number, "began": self.began}, "attributes": {}}

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self._resumed:
            self.number += 1
            self.began = state.global_step
        self._resumed = False

    def resume(self, state: Any, accumulation: int) -> tuple[int, int]:
        """The pass to go on in, and how many of its batches are done; for `Trainer._init_training_state`."""
        kept = (state.stateful_callbacks or {}).get(type(self).__name__) if state.global_step else None
        if kept is None and state.global_step:
            say("The checkpoint does not say how often the stream had been read: the run goes on as in its first pass.")
        self.number, self.began = (kept["args"]["number"], kept["args"]["began"]) if kept else (0, 0)
        self._resumed = True
        return self.number, (state.global_step - self.began) * accumulation
