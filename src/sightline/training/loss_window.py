"""Keep the running sum of losses in checkpoints, so that a resumed run logs the same values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

LOSS_WINDOW = "loss_window"  # among the states of callbacks in trainer_state.json


class LossWindow(TrainerCallback):
    """Losses and TRL's metrics since the last log, and the sum of all losses before it.

    transformers (5.23) forgets them in a checkpoint: the first loss that a resumed run logs is of fewer steps than the
    others, and its mean is that of the last part.

    Attributes:
        since: the step after which losses are known; not 0 where a checkpoint without them was gone on with.
    """

    def __init__(self, read: Callable[[], dict[str, Any]], put: Callable[[dict[str, Any]], None]) -> None:
        """`read` gives what the trainer has added up since its last log, and `put` makes it go on from there."""
        self.since = 0
        self._read, self._put = read, put
        self._before = 0.0
        self._at_begin: dict[str, Any] | None = None

    def kept(self) -> dict[str, Any]:
        """What of them is written into the state of a callback."""
        now = self._now()
        return {"args": {**now, "pending": float(now["pending"])}, "attributes": {}}

    def mean_loss(self, own_mean: float, steps: int, first: int) -> float:
        """The mean loss of the steps after `since`, of which this process did those after `first` with `own_mean`."""
        return (self._before + own_mean * max(0, steps - first)) / max(steps - self.since, 1)

    def forget_half_step(self) -> None:
        """Takes back what a step that was not finished has added."""
        if self._at_begin is not None:
            self._put(self._at_begin)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._before, self._at_begin, self.since = 0.0, None, state.global_step
        kept = (state.stateful_callbacks.get(LOSS_WINDOW) or {}).get("args")
        if not kept:
            return
        self._before, self.since = kept["logged"], kept["since"]
        if args.world_size == 1:
            self._put(kept)
        else:  # each process has losses of its own, and the first alone writes
            self._before += kept["pending"]

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._at_begin = self._now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._at_begin = None

    def _now(self) -> dict[str, Any]:
        now = self._read()
        return {**now, "since": self.since, "logged": self._before + now["logged"]}
