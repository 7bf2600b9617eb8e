"""Base of both trainers: augmentation, restored weights and model card around TRL's loop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from datasets import IterableDataset
from torch.utils.data import DataLoader, Sampler

from sightline.engine.selftest import RouteChoice
from sightline.pages.report import Card
from sightline.training.augmentation import AugmentingCollator, training_batches
from sightline.training.card import write_card
from sightline.training.checkpoints import CheckpointTrainer
from sightline.training.given_rows import given_rows
from sightline.training.restore import restore_weights, restores_itself
from sightline.training.row_names import FindRow, named_rows
from sightline.training.sampler import ImageGroupSampler, describe_order
from sightline.training.shared_work import SharedWork
from sightline.training.shown_rows import shown_rows
from sightline.training.stream_position import StreamPosition


class ForestTrainer(CheckpointTrainer):
    """Stands before a trainer of TRL's among the bases of ours, so that `super()` here is TRL's.

    Attributes:
        route: how batches are run, and why.
        augmenting: the collator of training batches where pictures are augmented.
        find_row: names a row as the run's source counts it; its place in the dataset is its name without one.
        _in_columns: brings rows that come later, to `evaluate` or `predict`, into the columns of those from the start.
    """

    route: RouteChoice
    augmenting: AugmentingCollator | None = None
    find_row: FindRow | None = None
    _is_vision_dataset: bool
    _in_columns: Callable[[Any], Any] | None = None

    def shown_rows(self) -> tuple[tuple[Card, ...], str]:
        return shown_rows(self)

    def training_step(self, model: Any, inputs: dict[str, Any], *others: Any) -> Any:
        if self.shared_work is None:
            self.shared_work = SharedWork()
        self.shared_work.count(inputs)
        return super().training_step(model, inputs, *others)

    def get_train_dataloader(self) -> DataLoader:
        if isinstance(self.train_dataset, IterableDataset) and self._stream_position() is None:
            self.add_callback(StreamPosition())
        with training_batches(self), named_rows(self, self.train_dataset):
            return super().get_train_dataloader()

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        later = self._later_rows(eval_dataset, "eval_dataset")
        rows = self.eval_dataset if later is None else later
        with named_rows(self, self.eval_dataset[rows] if isinstance(rows, str) else rows):
            return super().get_eval_dataloader(later)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        later = self._later_rows(test_dataset, "test_dataset")
        with named_rows(self, later):
            return super().get_test_dataloader(later)

    def _later_rows(self, dataset: Any, name: str) -> Any:
        if dataset is None or isinstance(dataset, str) or self._in_columns is None or not self._is_vision_dataset:
            return dataset
        return self._in_columns(given_rows(dataset, name, own_collator=False))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        """TRL's sampler, or one that brings rows of an image into one batch; which of them is said on stderr."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        grouping = self._grouping_sampler(dataset) if self.args.train_sampling_strategy == "random" else None
        if self.accelerator.is_main_process and self.args.process_index == 0:
            batch = self.args.per_device_train_batch_size
            print(describe_order(self.args.train_sampling_strategy, grouping, batch), file=sys.stderr)
        return super()._get_train_sampler(train_dataset) if grouping is None else grouping

    def _grouping_sampler(self, dataset: Any) -> ImageGroupSampler | None:
        """A sampler that brings rows of an image into one batch, where batches share them."""
        return None

    def _stream_position(self) -> StreamPosition | None:
        callbacks = self.callback_handler.callbacks
        return next((callback for callback in callbacks if isinstance(callback, StreamPosition)), None)

    def _init_training_state(self, *args: Any, **named: Any) -> tuple[int, int]:
        """Where to begin: passes over the data that are done, and batches of the next one."""
        begin: tuple[int, int] = super()._init_training_state(*args, **named)
        position = self._stream_position()
        if position is None or self.args.ignore_data_skip:
            return begin
        return position.resume(self.state, self.args.gradient_accumulation_steps)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return super().floating_point_ops(_whole_rows(self, inputs))

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        super()._track_num_input_tokens(_whole_rows(self, inputs))

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


def _whole_rows(trainer: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The batch with as many elements in the model's main input as TRL's has, by which transformers (5.23) counts
    tokens and FLOPs: beside a forest each distinct image is there once, and our rows are padded to no multiple."""
    forest, name = inputs.get("forest"), getattr(trainer.model, "main_input_name", "input_ids")
    if forest is not None and name in inputs and name != "input_ids":
        return {**inputs, name: inputs[name][forest.shown_I]}
    rows_NL = inputs["input_ids"]
    multiple = getattr(trainer.args, "pad_to_multiple_of", None)
    return {**inputs, "input_ids": F.pad(rows_NL, (0, -rows_NL.shape[1] % multiple)) if multiple else rows_NL}
