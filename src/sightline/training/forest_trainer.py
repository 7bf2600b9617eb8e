"""Base of both trainers: augmentation, restored weights and model card around TRL's loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch.nn.functional as F
from datasets import IterableDataset
from torch.utils.data import DataLoader, Sampler

from sightline.data.encoding.sequences import SequenceEncoder
from sightline.engine.feature_store import FeatureStore
from sightline.engine.selftest import RouteChoice
from sightline.pages.report import Card
from sightline.progress import tracked
from sightline.training.augmentation import AugmentedEpochs, AugmentingCollator, augmenting_collator
from sightline.training.card import write_card
from sightline.training.checkpoints import CheckpointTrainer
from sightline.training.encoding import encoding_of
from sightline.training.fitting import encoder_of, fit_rows
from sightline.training.given_rows import GivenRows, given_rows
from sightline.training.planned_rows import PlannedRows
from sightline.training.restore import restore_weights, restores_itself
from sightline.training.row_names import NamingCollator, find_row
from sightline.training.sampler import ImageGroupSampler, describe_order
from sightline.training.shared_work import SharedWork
from sightline.training.sharing import THE_DATASET
from sightline.training.shown_rows import shown_rows
from sightline.training.stored_features import StoreKeeper
from sightline.training.stream_position import StreamPosition
from sightline.training.task_scores import Score


class ForestTrainer(CheckpointTrainer):
    """Stands before a trainer of TRL's among the bases of ours, so that `super()` here is TRL's.

    Attributes:
        route: how batches are run, and why.
        augmenting: the collator of training batches where pictures are augmented.
        rows: as they were given, by which messages name them.
        score: asked for scores on tasks at each evaluation.
        _in_columns: brings rows that come later, to `evaluate` or `predict`, into the columns of those from the start.
    """

    route: RouteChoice
    augmenting: AugmentingCollator | None = None
    rows: GivenRows
    score: Score | None = None
    data_collator: Any
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
        with self._collating(self.augmenting or self.data_collator, self.rows.train):
            return super().get_train_dataloader()

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        later = self._later_rows(eval_dataset, "eval_dataset")
        own = self.rows.evaluation.get(later or "eval_dataset") if isinstance(later, str | None) else None
        with self._collating(self.data_collator, own or PlannedRows(later, THE_DATASET)):
            return super().get_eval_dataloader(later)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        later = self._later_rows(test_dataset, "test_dataset")
        with self._collating(self.data_collator, PlannedRows(later, THE_DATASET)):
            return super().get_test_dataloader(later)

    @contextmanager
    def _collating(self, collate: Any, rows: PlannedRows) -> Iterator[None]:
        """Inside, batches are made by `collate`, whose complaints about a row name it as it was given."""
        plain = self.data_collator
        self.data_collator = NamingCollator(collate, partial(find_row, rows.dataset, rows.name))
        try:
            yield
        finally:
            self.data_collator = plain

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's, and what `score` finds as `eval_NAME` in the record of `eval_loss`: so that these are logged, too, and
        `metric_for_best_model` and early stopping know them."""
        output = super().evaluation_loop(*args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        if self.score is not None and prefix.startswith("eval"):
            with self.accelerator.autocast():
                found = self.score(self.accelerator.unwrap_model(self.model), self.processing_class)
            output.metrics.update({f"{prefix}_{name}": value for name, value in found.items()})
        return output

    def score_tasks(self, score: Score | None) -> None:
        """From now on each evaluation asks `score`, too."""
        self.score = score

    def _take_rows(self, rows: GivenRows, processing_class: Any) -> None:
        """The rows that were given, once TRL has made a trainer of them, or of others in their place."""
        self.rows = rows
        if rows.are_hidden(processing_class):
            self.train_dataset, self.eval_dataset = rows.datasets
            self._is_vision_dataset = True

    def _read_rows(self, preferences: bool, packing: bool = False) -> SequenceEncoder:
        """Leaves the rows that `max_length` lets in, and gives the encoder of the run."""
        settings = encoding_of(self.args, self.processing_class, preferences, keeps_empty=True)
        encoder = encoder_of(self.rows, self.processing_class, settings)
        self.rows = fit_rows(self.rows, encoder, preferences, self._of_batches, self._track, packing)
        self.train_dataset, self.eval_dataset = self.rows.datasets
        return encoder

    def _augment(self) -> None:
        """Lets training batches show augmented pictures, where the arguments ask for that."""
        self.augmenting = augmenting_collator(self.args, self.data_collator)
        if self.augmenting is not None:
            self.add_callback(AugmentedEpochs(self.augmenting))

    def _keep_features(self, features: FeatureStore | None) -> None:
        """Writes stored features as training goes on."""
        if features is not None:
            self.add_callback(StoreKeeper(features))

    def _of_batches(self, dataset: Any) -> Any:
        """The columns of a dataset that a batch is made of."""
        return self._remove_unused_columns(dataset, description="training")

    def _track(self, items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
        """The items, with their progress on stderr."""
        return tracked(items, title, total, is_shown=not (self._is_quiet or self.args.disable_tqdm))

    @property
    def _is_quiet(self) -> bool:
        """Whether another process speaks for this one."""
        return not self.accelerator.is_main_process

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
