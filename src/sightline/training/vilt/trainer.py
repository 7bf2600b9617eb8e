"""transformers' Trainer for ViLT: logs the parts of a loss, and gives the head its own learning rate."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch.optim import Optimizer
from transformers import TrainerCallback

from sightline.pages.browser import spread
from sightline.pages.report import Card
from sightline.training.checkpoints import CheckpointTrainer
from sightline.training.row_guard import RowGuard
from sightline.training.shown_rows import SHOWN_ROWS
from sightline.training.vilt.rows import DrawnRows
from sightline.training.vilt.tasks import Task

# Heads of fine-tuning lie outside the body under these names, as in transformers' classes.
BODY = "vilt."
SHOWN = "Some training rows: text, pictures before they are brought to the model's size, and what is to be learnt."


class EpochOfDraws(TrainerCallback):
    """Tells the training rows which epoch they draw for; accelerate 1.x forgets them in the epoch that is resumed."""

    def __init__(self, rows: DrawnRows) -> None:
        self._rows = rows

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._rows.set_epoch(int(state.epoch or 0))


class ViltTrainer(CheckpointTrainer):
    """Trainer whose loss is a `Task`'s. Parts of the loss are averaged over steps and processes between two logs."""

    optimizer: Any

    def __init__(self, task: Task, guard: RowGuard | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._task = task
        self.row_guard = guard
        self._parts: dict[str, list[torch.Tensor]] = defaultdict(list)
        # The losses are means of a batch: accumulated steps are averaged, whatever the forward's signature promises.
        self.model_accepts_loss_kwargs = False
        self.add_callback(EpochOfDraws(self.train_dataset))

    def shown_rows(self) -> tuple[tuple[Card, ...], str]:
        rows = [self.train_dataset[index].row for index in spread(range(len(self.train_dataset)), SHOWN_ROWS)]
        return tuple(self._task.card(row) for row in rows), SHOWN

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        losses = self._task.losses(model, inputs)
        prefix = "" if model.training else "eval_"
        for name, value in losses.parts.items():
            self._parts[prefix + name].append(value.detach().float())
        return (losses.loss, {}) if return_outputs else losses.loss

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Any, None, None]:
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach().mean(), None, None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        is_eval = "eval_loss" in logs
        for name in [name for name in self._parts if name.startswith("eval_") == is_eval]:
            mean = torch.stack(self._parts.pop(name)).mean()
            logs[name] = round(float(self.accelerator.reduce(mean, reduction="mean")), 6)
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> Optimizer:
        if self.optimizer is None:
            self.optimizer = self._build_optimizer(model)
        return self.optimizer

    def _build_optimizer(self, model: Any) -> Optimizer:
        target = self.model if model is None else model
        decayed = set(self.get_decay_parameter_names(target))
        asked = self.args.head_lr_multiplier
        multiplier = self._task.head_lr_multiplier if asked is None else asked
        groups: dict[tuple[bool, bool], list[Any]] = defaultdict(list)
        for name, parameter in target.named_parameters():
            if parameter.requires_grad:
                groups[BODY in name, name in decayed].append(parameter)
        kind, arguments = self.get_optimizer_cls_and_kwargs(self.args, target)
        optimizer: Optimizer = kind(
            [
                {
                    "params": parameters,
                    "weight_decay": self.args.weight_decay if decays else 0.0,
                    "lr": self.args.learning_rate * (1.0 if in_body else multiplier),
                }
                for (in_body, decays), parameters in sorted(groups.items(), reverse=True)
            ],
            **arguments,
        )
        return optimizer
