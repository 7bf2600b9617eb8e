"""Measure how much of the reward margin depends on the image, on a small fixed sample."""

# Dims: B pairs.
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import TrainerCallback

from sightline.data.encoding.preferences import with_changed_images
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.pictures.images import row_images
from sightline.data.pictures.perturbations import Blank
from sightline.data.tables import is_table, why_no_table
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.training.references import is_sharded

IMAGE_MARGIN_HELP = (
    "Number of rows to measure rewards/image_margin on, ten times a run: the reward margin with the real images minus "
    "the one with blank images. 0 turns it off."
)
MEASUREMENTS = 10
ROWS_LOOKED_AT = 256  # for such with images, where others stand between


class ImageMargin(TrainerCallback):
    """Logs `rewards/image_margin`. Near zero, the pairs are told apart without looking (mDPO, arXiv 2406.11839).

    Every process measures the same rows on its own copy of the model, without gradients or random numbers, so that
    training goes on as if nothing had been measured. The reference is asked once, when this is made: later it may have
    been let go, and a policy that is its own reference has moved.
    """

    def __init__(self, trainer: Any, rows: list[dict[str, Any]]) -> None:
        encoder = trainer.data_collator.encoder
        two_answers = SequenceEncoder(encoder.processor, replace(encoder.settings, perturbation=None))
        self._trainer = trainer
        self._collate = replace(trainer.data_collator, encoder=two_answers)
        self._samples = (rows, [with_changed_images(row, Blank()) for row in rows])
        reference = trainer.model if trainer.ref_model is None else trainer.ref_model
        start = time.perf_counter()
        self._reference_margins = self._margins(
            reference, lambda inputs: trainer.compute_ref_log_probs(reference, inputs)
        )
        self.seconds = time.perf_counter() - start

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = max(1, state.max_steps // MEASUREMENTS)
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._trainer._metrics["train"]["rewards/image_margin"].append(self.measure())

    def measure(self) -> float:
        """Mean reward margin of the sample's pairs with their images, minus that with blank ones."""
        policy = self._margins(self._trainer.model, self._policy_logprobs)
        real_B, blank_B = (ours - theirs for ours, theirs in zip(policy, self._reference_margins, strict=True))
        return self._trainer.beta * float((real_B - blank_B).mean())

    def _margins(self, model: Any, score: Callable[[Any], tuple[Tensor, ...]]) -> list[Tensor]:
        """Log-probability of the chosen answer over the rejected one, (B,), with images and with blank ones."""
        size = self._trainer.args.per_device_train_batch_size  # so that no more memory is taken than a step takes
        was_training = model.training
        model.eval()
        try:
            margins = []
            for rows in self._samples:
                batches = [self._collate(rows[start : start + size]) for start in range(0, len(rows), size)]
                sides = [score(self._trainer._prepare_inputs(batch)) for batch in batches]
                margins.append(torch.cat([chosen - rejected for chosen, rejected in sides]).float())
            return margins
        finally:
            model.train(was_training)

    def _policy_logprobs(self, inputs: Any) -> tuple[Tensor, ...]:
        arguments = {name: value for name, value in inputs.items() if name != "completion_mask"}
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        with torch.no_grad(), self._trainer.accelerator.autocast():
            record = self._trainer.model(**arguments, use_cache=False, labels=labels, fused_lm_head=True)
        return record.log_probs.sum(dim=1).chunk(2)


def image_margin(trainer: Any) -> ImageMargin | None:
    """What logs `rewards/image_margin` of a trainer, None for nothing; says what that costs or why it cannot be.

    Made once batches are made as training makes them, and while the reference is still there.

    Raises:
        ConfigError: `image_margin_rows` is negative.
    """
    count = getattr(trainer.args, "image_margin_rows", 0)
    if count < 0:
        raise ConfigError(f"image_margin_rows: expected a number of rows, 0 for none; got {count}.")
    if count == 0:
        return None
    obstacle = _obstacle(trainer)
    margin = None
    rows = [] if obstacle else _sample(trainer.eval_dataset, trainer.train_dataset, count)
    if rows:
        margin = ImageMargin(trainer, rows)
        message = (
            f"rewards/image_margin: {len(rows)} rows with their images and with blank ones, {MEASUREMENTS} times a "
            f"run, about {margin.seconds:.1f} s each; image_margin_rows 0 turns it off."
        )
    else:
        message = f"rewards/image_margin is not measured: {obstacle or 'no row that was looked at shows an image'}."
    say(message)
    return margin


def _obstacle(trainer: Any) -> str:
    """Why the margin cannot be measured, or an empty string."""
    if not is_table(trainer.train_dataset):
        return why_no_table("train_dataset", trainer.train_dataset)
    if is_sharded(trainer.args):
        return "FSDP or DeepSpeed shards the model"
    if trainer.args.sync_ref_model:
        return "sync_ref_model changes the reference while training"
    return "ld_alpha weighs the tokens of a pair" if trainer.ld_alpha is not None else ""


def _sample(eval_dataset: Any, train_dataset: Dataset, count: int) -> list[dict[str, Any]]:
    """Rows with images, spread evenly over the evaluation data, or over the training data where there is none."""
    dataset = eval_dataset if isinstance(eval_dataset, Dataset) else train_dataset
    seen = [dataset[index] for index in _spread(len(dataset), ROWS_LOOKED_AT)]
    shown = [row for row in seen if row_images(row)]
    return [shown[index] for index in _spread(len(shown), count)]


def _spread(length: int, count: int) -> list[int]:
    """At most `count` indices, evenly over `length`."""
    return np.linspace(0, length - 1, min(count, length)).astype(int).tolist()
