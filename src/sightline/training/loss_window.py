"""Keep the running sum of losses in checkpoints, so that a resumed run logs the same values."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

NAME = "loss_window"  # among the states of callbacks in trainer_state.json


class LossWindow(TrainerCallback):
    """Losses and TRL's metrics since the last log, and the sum of all losses before it.

    transformers (5.23) forgets them in a checkpoint: the first loss that a resumed run logs is of fewer steps than the
    others, and its mean is that of the last part.

    Attributes:
        since: the step after which losses are known; not 0 where a checkpoint without them was gone on with.
    """

    def __init__(self, trainer: Any) -> None:
        self.since = 0
        self._trainer = trainer
        self._before = 0.0
        self._at_begin: dict[str, Any] | None = None

    def keep(self) -> None:
        """Puts them into the trainer's state, which is written next."""
        self._trainer.state.stateful_callbacks[NAME] = {"args": self._now(float), "attributes": {}}

    def mean_loss(self, own_mean: float, steps: int, first: int) -> float:
        """The mean loss of the steps after `since`, of which this process did those after `first` with `own_mean`."""
        return (self._before + own_mean * max(0, steps - first)) / max(steps - self.since, 1)

    def forget_half_step(self) -> None:
        """Takes back what a step that was not finished has added."""
        if self._at_begin is not None:
            self._put(self._at_begin)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._before, self._at_begin, self.since = 0.0, None, state.global_step
        kept = (state.stateful_callbacks.get(NAME) or {}).get("args")
        if not kept:
            return
        self._before, self.since = kept["logged"], kept["since"]
        if args.world_size == 1:
            self._put(kept)
        else:  # each process has losses of its own, and the first alone writes
            self._before += kept["pending"]

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._at_begin = self._now(lambda tensor: tensor.clone())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._at_begin = None

    def _now(self, kept_as: Any) -> dict[str, Any]:
        trainer = self._trainer
        return {
            "since": self.since,
            "logged": self._before + trainer._total_loss_scalar,
            "pending": kept_as(trainer._tr_loss),
            "step": trainer._globalstep_last_logged,
            "metrics": {name: [float(value) for value in values] for name, values in self._metrics().items()},
            "tokens": getattr(trainer, "_total_train_tokens", 0),
        }

    def _put(self, kept: dict[str, Any]) -> None:
        trainer, metrics = self._trainer, self._metrics()
        trainer._tr_loss += kept["pending"] - trainer._tr_loss
        trainer._globalstep_last_logged = kept["step"]
        trainer._total_train_tokens = kept["tokens"]
        metrics.clear()
        for name, values in kept["metrics"].items():
            metrics[name].extend(values)

    def _metrics(self) -> Any:
        """What TRL's trainers average until the next log, beside the loss; transformers' has nothing of the kind."""
        return getattr(self._trainer, "_metrics", {}).get("train", {})
