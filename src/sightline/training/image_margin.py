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
from sightline.data.pictures.augmentation import Blank
from sightline.data.pictures.images import row_images
from sightline.data.tables import is_table, why_no_table
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.training.losses import record_of
from sightline.training.references import is_sharded
from sightline.training.trainer_parts import TrainerParts

IMAGE_MARGIN_HELP = (
    "Number of rows to measure rewards/image_margin on, ten times a run: the reward margin with the real images minus "
    "the one with blank images. 0 turns it off."
)
MEASUREMENTS = 10
ROWS_LOOKED_AT = 256  # for such with images, where others stand between

Score = Callable[[Any], tuple[Tensor, ...]]
"""From a batch to the summed log-probabilities of chosen and of rejected answers."""
Log = Callable[[str, float], None]
"""Takes a name and a margin of log-probabilities into what the trainer logs next, as a reward."""


class ImageMargin(TrainerCallback):
    """Logs `rewards/image_margin`. Near zero, the pairs are told apart without looking (mDPO, arXiv 2406.11839).

    Every process measures the same rows on its own copy of the model, without gradients or random numbers, so that
    training goes on as if nothing had been measured. The reference is asked once, when this is made: later it may have
    been let go, and a policy that is its own reference has moved.
    """

    def __init__(self, parts: TrainerParts, rows: list[dict[str, Any]], ask_reference: Score, log: Log) -> None:
        encoder = parts.collator.encoder
        two_answers = SequenceEncoder(encoder.processor, replace(encoder.settings, perturbation=None))
        self._parts, self._log = replace(parts, ref_model=None), log  # which is not kept from being let go of
        self._collate = replace(parts.collator, encoder=two_answers)
        self._samples = (rows, [with_changed_images(row, Blank()) for row in rows])
        start = time.perf_counter()
        self._reference_margins = self._margins(parts.reference, ask_reference)
        self.seconds = time.perf_counter() - start

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = max(1, state.max_steps // MEASUREMENTS)
        if state.global_step % every == 0 or state.global_step == state.max_steps:
            self._log("rewards/image_margin", self.measure())

    def measure(self) -> float:
        """Mean margin of the sample's pairs with their images, minus that with blank ones; times beta, of rewards."""
        policy = self._margins(self._parts.model, self._policy_logprobs)
        real_B, blank_B = (ours - theirs for ours, theirs in zip(policy, self._reference_margins, strict=True))
        return float((real_B - blank_B).mean())

    def _margins(self, model: Any, score: Score) -> list[Tensor]:
        """Log-probability of the chosen answer over the rejected one, (B,), with images and with blank ones."""
        size = self._parts.args.per_device_train_batch_size  # so that no more memory is taken than a step takes
        was_training = model.training
        model.eval()
        try:
            margins = []
            for rows in self._samples:
                batches = [self._collate(rows[start : start + size]) for start in range(0, len(rows), size)]
                sides = [score(self._parts.prepare(batch)) for batch in batches]
                margins.append(torch.cat([chosen - rejected for chosen, rejected in sides]).float())
            return margins
        finally:
            model.train(was_training)

    def _policy_logprobs(self, inputs: Any) -> tuple[Tensor, ...]:
        with torch.no_grad(), self._parts.accelerator.autocast():
            log_probs: Tensor = record_of(self._parts.model, inputs).log_probs
        return log_probs.sum(dim=1).chunk(2)


def image_margin(parts: TrainerParts, ask_reference: Score, log: Log) -> ImageMargin | None:
    """What logs `rewards/image_margin` of a trainer, None for nothing; says what that costs or why it cannot be.

    Made once batches are made as training makes them, and while the reference is still there.

    Raises:
        ConfigError: `image_margin_rows` is negative.
    """
    count = getattr(parts.args, "image_margin_rows", 0)
    if count < 0:
        raise ConfigError(f"image_margin_rows: expected a number of rows, 0 for none; got {count}.")
    if count == 0:
        return None
    obstacle = _obstacle(parts)
    margin = None
    rows = [] if obstacle else _sample(*parts.rows.datasets, count)
    if rows:
        margin = ImageMargin(parts, rows, ask_reference, log)
        message = (
            f"rewards/image_margin: {len(rows)} rows with their images and with blank ones, {MEASUREMENTS} times a "
            f"run, about {margin.seconds:.1f} s each; image_margin_rows 0 turns it off."
        )
    else:
        message = f"rewards/image_margin is not measured: {obstacle or 'no row that was looked at shows an image'}."
    say(message)
    return margin


def _obstacle(parts: TrainerParts) -> str:
    """Why the margin cannot be measured, or an empty string."""
    if not is_table(parts.dataset):
        return why_no_table("train_dataset", parts.dataset)
    if is_sharded(parts.args):
        return "FSDP or DeepSpeed shards the model"
    if parts.args.sync_ref_model:
        return "sync_ref_model changes the reference while training"
    return "ld_alpha weighs the tokens of a pair" if parts.args.ld_alpha is not None else ""


def _sample(train_dataset: Dataset, eval_dataset: Any, count: int) -> list[dict[str, Any]]:
    """Rows with images, spread evenly over the evaluation data, or over the training data where there is none."""
    dataset = eval_dataset if isinstance(eval_dataset, Dataset) else train_dataset
    seen = [dataset[index] for index in _spread(len(dataset), ROWS_LOOKED_AT)]
    shown = [row for row in seen if row_images(row)]
    return [shown[index] for index in _spread(len(shown), count)]


def _spread(length: int, count: int) -> list[int]:
    """At most `count` indices, evenly over `length`."""
    return np.linspace(0, length - 1, min(count, length)).astype(int).tolist()
