"""Base of both trainers: augmentation, restored weights and model card around TRL's loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch.nn.functional as F
from datasets import Dataset, IterableDataset
from torch.utils.data import DataLoader, Sampler

from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.pictures.images import row_images
from sightline.engine.selftest import RouteChoice
from sightline.pages.report import Card
from sightline.progress import tracked
from sightline.training.augmentation import AugmentedEpochs, AugmentingCollator, augmenting_collator
from sightline.training.card import write_card
from sightline.training.checkpoints import CheckpointTrainer
from sightline.training.collators import ProcessorCollator
from sightline.training.decoder import settle_adapters
from sightline.training.encoding import encoding_of
from sightline.training.fitting import encoder_of, fit_rows
from sightline.training.folder_code import loaded_by_trl
from sightline.training.given_rows import GivenRows, given_rows
from sightline.training.packing import ONE_ROW, hidden_packing, require_mask
from sightline.training.planned_rows import PlannedRows
from sightline.training.restore import restore_weights, restores_itself
from sightline.training.row_names import NamingCollator, find_row
from sightline.training.sampler import ImageGroupSampler, describe_order
from sightline.training.shared_work import SharedWork
from sightline.training.sharing import THE_DATASET, Tested, choose_training_route, share_forward, training_facts
from sightline.training.shown_rows import shown_rows
from sightline.training.stored_features import ImagesOf, StoreKeeper, store_features
from sightline.training.stream_position import StreamPosition
from sightline.training.task_scores import Score
from sightline.training.template_arguments import say_what_is_not_rendered
from sightline.training.trainer_parts import TrainerParts


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

    @property
    def parts(self) -> TrainerParts:
        """What helpers read of this trainer as it is now."""
        return TrainerParts(
            kind=type(self),
            args=self.args,
            rows=self.rows,
            model=self.model,
            ref_model=getattr(self, "ref_model", None),
            processor=self.processing_class,
            accelerator=self.accelerator,
            collator=self.data_collator,
            prepare=self._prepare_inputs,
            replaces_loss=self.compute_loss_func is not None or self.label_smoother is not None,
            balances_experts=self.aux_loss_enabled,
        )

    def shown_rows(self) -> tuple[tuple[Card, ...], str]:
        rows, name = self.train_dataset, self.rows.train.name
        if isinstance(rows, Dataset):
            rows = self._of_batches(rows)
        else:
            name = THE_DATASET
        return shown_rows(rows, name, self.data_collator, self._tokenizer)

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

    @contextmanager
    def _made_of(self, rows: GivenRows, args: Any, processing_class: Any, *models: Any) -> Iterator[tuple[Any, Any]]:
        """Around TRL's `__init__`: what trains and what is evaluated on, as TRL takes it; the rows are here then."""
        with (
            hidden_packing(args, rows.train.dataset, rows.collator),
            rows.shown(args, processing_class) as shown,
            loaded_by_trl(*models),
        ):
            yield shown
        self._take_rows(rows, processing_class)
        settle_adapters(self.model, self.args)

    def _take_rows(self, rows: GivenRows, processing_class: Any) -> None:
        """The rows that were given, once TRL has made a trainer of them, or of others in their place."""
        self.rows = rows
        if rows.are_hidden(processing_class):
            self.train_dataset, self.eval_dataset = rows.datasets
            self._is_vision_dataset = True

    def _make_batches(self, kind: Any, preferences: bool, packing: bool = False) -> Tested:
        """Reads the rows, chooses the route, and gives the trainer a collator of our `kind`, where rows are ours."""
        say_what_is_not_rendered(self.args, self.rows, preferences)
        encoder = self._read_rows(preferences, packing)
        tested = choose_training_route(self.parts, encoder, preferences)
        self.route, self.row_guard = tested.route, self.rows.guard()
        require_mask(self.args, self.route)
        if tested.is_ours:
            facts = training_facts(self.model, self.processing_class)
            max_row = ONE_ROW if self.args.padding_free else None
            pad_id, share = self._tokenizer.pad_token_id, self.route.route != "plain"
            self.data_collator = kind(encoder, pad_id, share, facts=facts, max_row=max_row, guard=self.row_guard)
        else:
            self.data_collator = ProcessorCollator(encoder, self.data_collator, preferences, guard=self.row_guard)
        return tested

    def _share_work(
        self, tested: Tested, extra_passes: int = 0, images_of: ImagesOf = row_images, items: int | None = None
    ) -> bool:
        """Lets the model take forests, with a store of features where that pays; whether it does."""
        if self.route.route == "plain" or tested.batch is None:
            return False
        features = store_features(self.parts, tested.batch, extra_passes, images_of, items)
        if features is not None:
            self.add_callback(StoreKeeper(features))
        share_forward(self.model, self.route, store=features)
        return True

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
        return super().floating_point_ops(self._whole_rows(inputs))

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        super()._track_num_input_tokens(self._whole_rows(inputs))

    def _whole_rows(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The batch with as many elements in the model's main input as TRL's has, by which transformers (5.23) counts
        tokens and FLOPs: beside a forest each distinct image is there once, and our rows are padded to no multiple."""
        forest, name = inputs.get("forest"), getattr(self.model, "main_input_name", "input_ids")
        if forest is not None and name in inputs and name != "input_ids":
            return {**inputs, name: inputs[name][forest.shown_I]}
        rows_NL = inputs["input_ids"]
        multiple = getattr(self.args, "pad_to_multiple_of", None)
        return {**inputs, "input_ids": F.pad(rows_NL, (0, -rows_NL.shape[1] % multiple)) if multiple else rows_NL}

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if not self._restored(model or self.model, resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if not self._restored(self.model, self.state.best_model_checkpoint):
            super()._load_best_model()

    def _restored(self, model: Any, checkpoint: str) -> bool:
        """Loads the weights where transformers would not; FSDP and DeepSpeed keep the model's names. Whether it did."""
        unwrapped = self.accelerator.unwrap_model(model)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled or restores_itself(unwrapped):
            return False
        restore_weights(unwrapped, checkpoint)
        return True

    def create_model_card(
        self, model_name: str | None = None, dataset_name: str | None = None, tags: Any = None, **others: Any
    ) -> None:
        if self.is_world_process_zero():
            write_card(
                self.parts, self.route, self.hub_model_id or self.args.output_dir, model_name, dataset_name, tags
            )
