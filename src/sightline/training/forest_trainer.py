"""What both trainers do alike around TRL's training loop: augmented batches, weights put back, the run's card."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer

from sightline.engine.selftest import RouteChoice
from sightline.training.augmentation import AugmentingCollator, training_batches
from sightline.training.card import write_card
from sightline.training.restore import restore_weights, restores_itself


class ForestTrainer(Trainer):
    """Stands before a trainer of TRL's among the bases of ours, so that `super()` here is TRL's.

    Attributes:
        route: how batches are run, and why.
        augmenting: the collator of training batches where pictures are augmented.
    """

    route: RouteChoice
    augmenting: AugmentingCollator | None = None

    def get_train_dataloader(self) -> DataLoader:
        with training_batches(self):
            return super().get_train_dataloader()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if restores_itself(self, model or self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            restore_weights(self, model or self.model, resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if restores_itself(self, self.model):
            super()._load_best_model()
        else:
            restore_weights(self, self.model, self.state.best_model_checkpoint)

    def create_model_card(
        self, model_name: str | None = None, dataset_name: str | None = None, tags: Any = None, **others: Any
    ) -> None:
        if self.is_world_process_zero():
            write_card(self, model_name, dataset_name, tags)
