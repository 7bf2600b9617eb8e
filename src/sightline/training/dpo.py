"""Preference alignment: TRL's DPOTrainer over forests, chosen and rejected on one trunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import trl

from sightline.data.formats import to_preference_columns
from sightline.data.sequences import SequenceEncoder
from sightline.engine.selftest import RouteChoice
from sightline.training.card import write_card
from sightline.training.collators import PreferenceCollator
from sightline.training.precision import choose_precision
from sightline.training.restore import restore_weights, restores_itself
from sightline.training.sft import SHARE_HELP
from sightline.training.sharing import choose_training_route, encoding_settings, prepared, share_forward, type_inputs


@dataclass
class DPOConfig(trl.DPOConfig):
    """TRL's DPOConfig with `share`."""

    share: str = field(default="auto", metadata={"help": SHARE_HELP})

    def __post_init__(self) -> None:
        choose_precision(self)
        super().__post_init__()


class DPOTrainer(trl.DPOTrainer):
    """TRL's DPOTrainer, same arguments; with images, image and prompt are read once for chosen and rejected.

    Every loss type, metric and callback of TRL works unchanged. `route` says how batches are run and why.

    Example:
        >>> DPOTrainer(model="sightline-nano", train_dataset=pairs, args=DPOConfig("out", max_length=None)).train()
    """

    data_collator: Any

    def __init__(
        self,
        model: Any,
        ref_model: Any = None,
        args: trl.DPOConfig | None = None,
        data_collator: Any = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        **trl_arguments: Any,
    ) -> None:
        train_dataset = prepared(train_dataset, to_preference_columns)
        eval_dataset = prepared(eval_dataset, to_preference_columns)
        super().__init__(model, ref_model, args, data_collator, train_dataset, eval_dataset, **trl_arguments)
        self.route = RouteChoice("plain", "the dataset has no images, or a data_collator was given")
        if not self._is_vision_dataset or data_collator is not None:
            return
        encoder = SequenceEncoder(self.processing_class, encoding_settings(self.data_collator))
        self.route = choose_training_route(self, encoder.encode_preferences)
        share = self.route.route == "mask"
        self.data_collator = PreferenceCollator(
            encoder, self._tokenizer.pad_token_id, share, type_inputs(self.model, self.processing_class)
        )
        if not share:
            return
        share_forward(self.model)
        if self.ref_model is not None:
            # TRL has prepared the reference already, so accelerate's autocast lies below this forward.
            share_forward(self.accelerator.unwrap_model(self.ref_model), self.accelerator.autocast)

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
        self, model_name: str | None = None, dataset_name: str | None = None, tags: Any = None
    ) -> None:
        if self.is_world_process_zero():
            write_card(self, model_name, dataset_name, tags)
