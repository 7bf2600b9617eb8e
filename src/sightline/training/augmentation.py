"""Augment the images of training batches: a collator around the trainer's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from sightline.data.pictures.augmentation import NONE, Augment, augmented_row
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.training.sampler import order_seed

AUGMENTATION_HELP = (
    "Change training pictures at random, anew in each epoch: `none`, `light` (small shifts, brightness, contrast, "
    "colour; never mirrored), `randaugment` (two random changes, as in ViLT), `document` (tilt, uneven light, blur, "
    "noise, grey, JPEG). Evaluation never changes pictures."
)


class AugmentingCollator:
    """Batches of another collator, of rows whose pictures are augmented when they are opened.

    A picture changes by seed, epoch and its own pixels: alike in every row that shows it, at any number of processes
    and workers, and after resuming. The epoch lies in shared memory, where persistent workers see it, too.
    """

    def __init__(self, collator: Callable[[list[Any]], dict[str, Any]], policy: str, seed: int) -> None:
        self.collator = collator
        self.policy = policy
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Pictures change from now on as in this epoch."""
        self._epoch.fill_(epoch)

    def __call__(self, rows: list[Any]) -> dict[str, Any]:
        change = Augment(self.policy, self.seed, int(self._epoch))

        def changed(row: Any) -> Any:
            if isinstance(row, list):  # a packed row is a list of examples
                return [augmented_row(part, change) for part in row]
            return augmented_row(row, change)

        return self.collator([changed(row) for row in rows])


class AugmentedEpochs(TrainerCallback):
    """Counts epochs as the Trainer does, whose own number is a fraction and none of a streamed dataset's."""

    def __init__(self, collator: AugmentingCollator) -> None:
        self._collator = collator
        self._next = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._next = int(state.epoch or 0)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._collator.set_epoch(self._next)
        self._next += 1


def policy_of(args: Any) -> str:
    """The augmentation that a trainer's arguments ask for; TRL's own have none."""
    return getattr(args, "augmentation", NONE)


def augmenting_collator(args: Any, collate: Any) -> AugmentingCollator | None:
    """The collator of training batches where a trainer's arguments ask for augmentation, around that of all others;
    says so on stderr. `AugmentedEpochs` tells it which epoch it is."""
    policy = policy_of(args)
    if policy == NONE:
        return None
    collator = AugmentingCollator(collate, policy, order_seed(args))
    say(
        f"Augmentation {policy}: training pictures change in each epoch, so that neither features nor references "
        "are stored; evaluation sees pictures as they are."
    )
    return collator


def require_no_augmentation(args: Any, reason: str) -> None:
    """Raise ConfigError if augmentation is asked for; `reason` says why Sightline opens no picture."""
    policy = policy_of(args)
    if policy != NONE:
        raise ConfigError(
            f"augmentation: expected none, since {reason}; got {policy}. "
            "Set it to none, or give rows with images and no data_collator."
        )
