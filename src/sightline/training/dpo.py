"""Preference alignment: TRL's DPOTrainer over forests, chosen and rejected on one trunk."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import trl
from peft import PeftModel
from torch import Tensor
from trl.trainer.utils import get_config_model_id

from sightline.data.encoding.fit import LENGTH_POLICIES, LENGTH_POLICY_HELP
from sightline.data.encoding.preferences import require_trainable_lists, shown_images
from sightline.data.formats.columns import to_preference_columns
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
from sightline.training.collators import PreferenceCollator
from sightline.training.decoder import for_family
from sightline.training.devices import choose_device, require_all_processes
from sightline.training.folder_code import without_code
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
    first_sequences,
    mdpo_terms,
    perturbation,
    record_of,
    split_losses,
)
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
    opened_safely,
    prepared,
    share_forward,
    untouched_route,
)
from sightline.training.stored_features import FEATURE_STORE_HELP
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
        shown = self._made_of(rows, args, trl_arguments.get("processing_class"), model, ref_model)
        with shown as (train, evaluation):
            super().__init__(model, ref_model, args, data_collator, train, evaluation, **trl_arguments)
        if isinstance(ref_model, NoReference):
            self._release_reference()
        losses = split_losses(self.loss_types, self.loss_weights)
        self.loss_types, self.loss_weights, self.mdpo_weights = losses.types, losses.weights, losses.mdpo
        if self.mdpo_weights and self.compute_metrics is not None:
            raise ConfigError(NO_LOGITS)
        if self._is_vision_dataset and data_collator is None:
            self._use_forests(store and not moving_reference(self.parts))
            self._augment()
            return
        self.route = untouched_route(self.accelerator, data_collator)
        require_no_augmentation(self.args, self.route.reason)
        if CONDITIONAL in self.mdpo_weights:
            raise ConfigError(
                f"loss_type: expected losses of answers alone, since {self.route.reason}; got {CONDITIONAL}, which "
                "compares images. Give rows with images and no data_collator, or drop the term."
            )

    def _use_forests(self, store: bool) -> None:
        """Gives the trainer its route, its collator and its stores; `store` says whether references are stored."""
        perturbed = perturbation(self.args)
        unused = perturbed is None and rejected_images(next(iter(self.train_dataset)))
        if unused and self.accelerator.is_main_process:
            print(f"rejected_images are not used: loss_type has no {CONDITIONAL}.", file=sys.stderr)
        tested = self._make_batches(PreferenceCollator, preferences=True)
        if not tested.is_ours and perturbed is not None:
            raise ConfigError(
                f"loss_type {CONDITIONAL} shows chosen answers beside other images, but {self.route.reason}."
            )
        is_shared = self._share_work(tested, int(store), partial(shown_images, perturbation=perturbed))
        if is_shared and self.ref_model is not None:
            # TRL has prepared the reference already, so accelerate's autocast lies below this forward.
            share_forward(self.accelerator.unwrap_model(self.ref_model), self.route, self.accelerator.autocast)
        margin = image_margin(self.parts, self._ask_reference, self._log_margin)
        if margin is not None:
            self.add_callback(margin)
        if store:
            self.data_collator.references = store_references(
                self.parts, self.data_collator.encoder, self._score_by_reference, self._track
            )
            reference = self.parts.reference
            if getattr(self.args, "reference_store", "auto") == "on":
                self._release_reference()
            if self.ref_model is None and not isinstance(self.model, PeftModel):
                name = get_config_model_id(self.accelerator.unwrap_model(reference).config)
                weights = self.data_collator.references.weights
                self.absent_reference = AbsentReference(name, weights, self._spare_reference)
            self.reference_watch = ReferenceWatch(self.parts)
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
        if self.reference_watch is not None and not self.reference_watch.holds(self.ref_model):
            inputs = {name: value for name, value in inputs.items() if name not in REFERENCE_COLUMNS}
        self.precompute_ref_logps = "ref_chosen_logps" in inputs
        adapted = isinstance(self.accelerator.unwrap_model(self.model), PeftModel)
        if not self.precompute_ref_logps and self.ref_model is None and not adapted and self.absent_reference:
            self.ref_model = bring_back_reference(self.parts, self.absent_reference, self.route)
            if self.reference_watch is not None:
                self.reference_watch.expect(self.ref_model)
        if not self.mdpo_weights:
            return super()._compute_loss(model, inputs, return_outputs)
        if return_outputs:
            raise ConfigError(NO_LOGITS)
        return self._loss_with_mdpo_terms(model, inputs)

    def _loss_with_mdpo_terms(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """TRL's loss of the batch's pairs plus mDPO's weighted terms, from one forward pass of all sequences."""
        stored = [inputs[name] for name in REFERENCE_COLUMNS if name in inputs]
        inputs = {name: value for name, value in inputs.items() if name not in REFERENCE_COLUMNS}
        record = record_of(model, inputs, self.aux_loss_enabled)
        parts = 3 if CONDITIONAL in self.mdpo_weights else 2
        if not stored:
            stored = list(torch.cat(self._ask_reference(inputs)).chunk(parts))
        pairs = len(stored[0])
        of_pairs = {name: inputs[name][: 2 * pairs] for name in ("input_ids", "completion_mask")}
        references = dict(zip(REFERENCE_COLUMNS[:2], stored, strict=False))
        asked, self.precompute_ref_logps = self.precompute_ref_logps, True  # so that TRL takes what it is given
        first = first_sequences(record, 2 * pairs)
        loss: Tensor = super()._compute_loss(lambda **_: first, {**inputs, **of_pairs, **references}, False)
        self.precompute_ref_logps = asked
        logprobs = record.log_probs.sum(dim=1).chunk(parts)
        terms = mdpo_terms(self.mdpo_weights, logprobs, stored, self.beta, self.args.mdpo_delta)
        if terms.margin_B is not None:
            mean = self.accelerator.gather(terms.margin_B.detach()).mean().item()
            self._metrics["train" if self.model.training else "eval"]["rewards/conditional_margins"].append(mean)
        return sum(terms.losses, loss)

    def _ask_reference(self, inputs: dict[str, Any]) -> tuple[Tensor, ...]:
        """The reference's summed log-probabilities of a batch, its sequences in two halves."""
        halves: tuple[Tensor, ...] = self.compute_ref_log_probs(self.parts.reference, inputs)
        return halves

    def _score_by_reference(self, rows: list[Any]) -> Tensor:
        return torch.cat(self._ask_reference(self._prepare_inputs(self.data_collator(rows))))

    def _log_margin(self, name: str, margin: float) -> None:
        """Takes a margin of log-probabilities into the next log of training, as a reward."""
        self._metrics["train"][name].append(self.beta * margin)


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
