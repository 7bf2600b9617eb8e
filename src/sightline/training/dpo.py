"""Preference alignment: TRL's DPOTrainer over forests, chosen and rejected on one trunk."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trl
from peft import PeftModel
from trl.trainer.utils import get_config_model_id

from sightline.data.encoding.fit import LENGTH_POLICIES, LENGTH_POLICY_HELP
from sightline.data.encoding.preferences import require_trainable_lists, shown_images
from sightline.data.formats import to_preference_columns
from sightline.data.pictures.augmentation import NONE, POLICIES, check_policy
from sightline.data.pictures.images import rejected_images
from sightline.data.tables import unformatted
from sightline.engine.selftest import SHARE_CHOICES
from sightline.errors import ConfigError
from sightline.settings.spellings import takes_old_spellings
from sightline.training.absent_reference import (
    AbsentReference,
    bring_back_reference,
    spare_reference,
)
from sightline.training.augmentation import (
    AUGMENTATION_HELP,
    require_no_augmentation,
)
from sightline.training.collators import PreferenceCollator, ProcessorCollator
from sightline.training.decoder import for_family, settle_adapters
from sightline.training.devices import choose_device, require_all_processes
from sightline.training.folder_code import loaded_by_trl, without_code
from sightline.training.forest_trainer import ForestTrainer
from sightline.training.given_rows import GivenRows
from sightline.training.image_margin import IMAGE_MARGIN_HELP, image_margin
from sightline.training.losses import (
    CONDITIONAL,
    CROP_HELP,
    DELTA_HELP,
    NO_LOGITS,
    PERTURBATION_HELP,
    PERTURBATIONS,
    check_mdpo_settings,
    expand_preset,
    loss_with_mdpo_terms,
    perturbation,
    split_losses,
)
from sightline.training.packing import ONE_ROW, hidden_packing, require_mask
from sightline.training.planned_rows import PlannedRows
from sightline.training.precision import choose_precision
from sightline.training.references import (
    REFERENCE_COLUMNS,
    REFERENCE_STORE_HELP,
    STORE_CHOICES,
    NoReference,
    ReferenceWatch,
    moving_reference,
    store_references,
    uses_reference_store,
)
from sightline.training.sampler import check_strategy
from sightline.training.sealed_trainer import reported
from sightline.training.sft import SHARE_HELP
from sightline.training.sharing import (
    THE_DATASET,
    base_model,
    choose_training_route,
    opened_safely,
    prepared,
    share_forward,
    training_facts,
    untouched_route,
)
from sightline.training.stored_features import FEATURE_STORE_HELP, store_features
from sightline.training.template_arguments import say_what_is_not_rendered
from sightline.training.tokenizer_alone import with_processor
from sightline.training.trainer_arguments import takes_arguments_of


@takes_old_spellings
@dataclass
class DPOConfig(trl.DPOConfig):
    """Settings of `DPOTrainer`: all of TRL's, and these of Sightline."""

    share: str = field(default="auto", metadata={"help": SHARE_HELP, "choices": SHARE_CHOICES})
    feature_store: str = field(default="auto", metadata={"help": FEATURE_STORE_HELP, "choices": STORE_CHOICES})
    reference_store: str = field(default="auto", metadata={"help": REFERENCE_STORE_HELP, "choices": STORE_CHOICES})
    length_policy: str = field(default="truncate", metadata={"help": LENGTH_POLICY_HELP, "choices": LENGTH_POLICIES})
    image_margin_rows: int = field(default=4, metadata={"help": IMAGE_MARGIN_HELP})
    mdpo_perturbation: str = field(default="crop", metadata={"help": PERTURBATION_HELP, "choices": PERTURBATIONS})
    mdpo_crop: list[float] = field(default_factory=lambda: [0.0, 0.2], metadata={"help": CROP_HELP})
    mdpo_delta: float = field(default=0.0, metadata={"help": DELTA_HELP})
    augmentation: str = field(default=NONE, metadata={"help": AUGMENTATION_HELP, "choices": (NONE, *POLICIES)})

    def __post_init__(self) -> None:
        check_policy(self.augmentation)
        check_strategy(self.train_sampling_strategy)
        choose_device(self)
        choose_precision(self)
        expanded = expand_preset(self)
        super().__post_init__()
        check_mdpo_settings(self)
        if expanded and self.process_index == 0:
            print(expanded, file=sys.stderr)

    def to_dict(self) -> dict[str, Any]:
        return reported(self, super().to_dict())


class DPOTrainer(ForestTrainer, trl.DPOTrainer):
    """Align with preferences: TRL's DPOTrainer with the same arguments, which reads image and prompt once for a pair.

    `rejected` may be a list of answers: each makes a pair. Every loss type, metric and callback of TRL works unchanged.
    `route` says how batches are run, and why.

    Example:
        from datasets import Dataset
        from sightline import DPOConfig, DPOTrainer

        pair = {"image": "photo.jpg", "question": "what color is it?", "chosen": "red", "rejected": "blue"}
        args = DPOConfig("runs/dpo", max_length=None, max_steps=2)
        trainer = DPOTrainer("demo/model", args=args, train_dataset=Dataset.from_list([pair] * 8))
        trainer.train()
        print(trainer.route)
    """

    data_collator: Any
    ref_model: Any
    loss_types: list[str]
    loss_weights: list[float]
    reference_watch: ReferenceWatch | None = None
    absent_reference: AbsentReference | None = None

    @takes_arguments_of(trl.DPOTrainer, DPOConfig)
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
        require_all_processes(args)
        trl_arguments = for_family(model, without_code(args, (model, ref_model), trl_arguments))
        _load_reference_alike(args, model)
        rows = GivenRows.of(train_dataset, eval_dataset, data_collator)
        if data_collator is None:
            self._in_columns = partial(_prepared, args=args)
            rows = rows.each(partial(_with_trainable_lists, args=args)).in_columns(self._in_columns)
        else:
            rows.each(opened_safely)
        trl_arguments = with_processor(trl_arguments, model, rows, needed=True)
        store = uses_reference_store(args, *rows.datasets, data_collator)
        adapted = trl_arguments.get("peft_config") is not None or isinstance(model, PeftModel)
        self._spare_reference = None
        if store and ref_model is None and not adapted:
            self._spare_reference = spare_reference(model)
            ref_model = NoReference()
        processing_class = trl_arguments.get("processing_class")
        with (
            hidden_packing(args, rows.train.dataset, data_collator),
            rows.shown(args, processing_class) as (train, evaluation),
            loaded_by_trl(model, ref_model),
        ):
            super().__init__(model, ref_model, args, data_collator, train, evaluation, **trl_arguments)
        self._take_rows(rows, processing_class)
        settle_adapters(self)
        if isinstance(ref_model, NoReference):
            self._release_reference()
        losses = split_losses(self.loss_types, self.loss_weights)
        self.loss_types, self.loss_weights, self.mdpo_weights = losses.types, losses.weights, losses.mdpo
        if self.mdpo_weights and self.compute_metrics is not None:
            raise ConfigError(NO_LOGITS)
        if self._is_vision_dataset and data_collator is None:
            self._use_forests(store and not moving_reference(self))
            self._augment()
            return
        self.route = untouched_route(self, data_collator)
        require_no_augmentation(self.args, self.route.reason)
        if CONDITIONAL in self.mdpo_weights:
            raise ConfigError(
                f"loss_type: expected losses of answers alone, since {self.route.reason}; got {CONDITIONAL}, which "
                "compares images. Give rows with images and no data_collator, or drop the term."
            )

    def _use_forests(self, store: bool) -> None:
        """Gives the trainer its route, its collator and its stores; `store` says whether references are stored."""
        say_what_is_not_rendered(self.args, self.rows, preferences=True)
        perturbed = perturbation(self.args)
        unused = perturbed is None and rejected_images(next(iter(self.train_dataset)))
        if unused and self.accelerator.is_main_process:
            print(f"rejected_images are not used: loss_type has no {CONDITIONAL}.", file=sys.stderr)
        encoder = self._read_rows(preferences=True)
        tested = choose_training_route(self, encoder, preferences=True)
        self.route = tested.route
        require_mask(self.args, self.route)
        if not tested.is_ours and perturbed is not None:
            raise ConfigError(
                f"loss_type {CONDITIONAL} shows chosen answers beside other images, but {self.route.reason}."
            )
        share = self.route.route != "plain"
        self.row_guard = guard = self.rows.guard()
        self.data_collator = (
            PreferenceCollator(
                encoder,
                self._tokenizer.pad_token_id,
                share,
                facts=training_facts(self.model, self.processing_class),
                max_row=ONE_ROW if self.args.padding_free else None,
                guard=guard,
            )
            if tested.is_ours
            else ProcessorCollator(encoder, self.data_collator, preferences=True, guard=guard)
        )
        if share and tested.batch is not None:
            images_of = partial(shown_images, perturbation=perturbed)
            features = store_features(self, tested.batch, base_model(self.model), int(store), images_of)
            self._keep_features(features)
            share_forward(self.model, self.route, store=features)
            if self.ref_model is not None:
                # TRL has prepared the reference already, so accelerate's autocast lies below this forward.
                reference = self.accelerator.unwrap_model(self.ref_model)
                share_forward(reference, self.route, self.accelerator.autocast)
        margin = image_margin(self)
        if margin is not None:
            self.add_callback(margin)
        if store:
            self.data_collator.references = store_references(self, encoder)
            reference = self.model if self.ref_model is None else self.ref_model
            if getattr(self.args, "reference_store", "auto") == "on":
                self._release_reference()
            if self.ref_model is None and not isinstance(self.model, PeftModel):
                name = get_config_model_id(self.accelerator.unwrap_model(reference).config)
                weights = self.data_collator.references.weights
                self.absent_reference = AbsentReference(name, weights, self._spare_reference)
            self.reference_watch = ReferenceWatch(self)
            self.add_callback(self.reference_watch)

    def _release_reference(self) -> None:
        """Lets go of the reference model, which accelerate holds as well."""
        models = self.accelerator._models
        models[:] = [model for model in models if model is not self.ref_model]
        self.ref_model = None

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if self._is_vision_dataset and "rejected_images" not in self._signature_columns:
            self._signature_columns += ["rejected_images"]

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """TRL's loss; pairs that were not there when the trainer was made ask the reference model as TRL does."""
        if self.reference_watch is not None and not self.reference_watch.holds(self):
            inputs = {name: value for name, value in inputs.items() if name not in REFERENCE_COLUMNS}
        self.precompute_ref_logps = "ref_chosen_logps" in inputs
        adapted = isinstance(self.accelerator.unwrap_model(self.model), PeftModel)
        if not self.precompute_ref_logps and self.ref_model is None and not adapted and self.absent_reference:
            self.ref_model = bring_back_reference(self, self.absent_reference)
            if self.reference_watch is not None:
                self.reference_watch.expect(self.ref_model)
        if not self.mdpo_weights:
            return super()._compute_loss(model, inputs, return_outputs)
        if return_outputs:
            raise ConfigError(NO_LOGITS)
        return loss_with_mdpo_terms(self, model, inputs, super()._compute_loss)


def _prepared(dataset: Any, args: Any) -> Any:
    """Rows that come later in the columns of batches; lists of rejected answers that cannot be trained are refused."""
    _with_trainable_lists(PlannedRows(dataset, THE_DATASET), args)
    return prepared(dataset, to_preference_columns)


def _load_reference_alike(args: Any, model: Any) -> None:
    """Lets TRL load a named model's reference with the attention that the model's folder asks for, like the model.

    TRL (1.16) asks for the policy's attention by name otherwise, which transformers refuses where the vision tower has
    no SDPA (BiT, the tower of the preset nano).
    """
    if isinstance(model, str) and args is not None and not isinstance(args.model_init_kwargs, str):
        args.model_init_kwargs = {"attn_implementation": None, **(args.model_init_kwargs or {})}


def _with_trainable_lists(rows: PlannedRows, args: Any) -> PlannedRows:
    """The rows, whose lists of rejected answers can be trained."""
    given = unformatted(rows.dataset)
    for part in given.values() if isinstance(given, dict) else [given]:
        if part is not None:
            require_trainable_lists(part, THE_DATASET, args.world_size if args is not None else 1)
    return rows
