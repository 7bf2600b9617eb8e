"""Compute reference log-probabilities before training, store them, and share them among runs."""

# Dims: B pairs.
from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedConfig, TrainerCallback

from sightline.data.encoding.checks import Track
from sightline.data.encoding.sequences import SequenceEncoder
from sightline.data.formats.converted import has_images
from sightline.data.pictures.augmentation import NONE
from sightline.data.tables import is_table, is_transformed, why_no_table
from sightline.engine.feature_store import dropout_of
from sightline.engine.fingerprint import (
    adapter_settings,
    fingerprint,
    processor_fingerprint,
    settings_fingerprint,
    stored_under,
    tokenizer_fingerprint,
    weights_fingerprint,
)
from sightline.engine.store import TensorStore
from sightline.engine.unchanged import Unchanged
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.models.adapters import base_model
from sightline.training.augmentation import policy_of
from sightline.training.given_rows import GivenRows
from sightline.training.trainer_parts import TrainerParts

logger = logging.getLogger("sightline")

STORE_CHOICES = ("auto", "on", "off")
REFERENCE_STORE_HELP = (
    "Compute reference log-probabilities before training, store them, and share them among runs that differ in beta, "
    "loss type or learning rate; no reference model stays in memory then. `auto` does so if every row is trained on at "
    "least once; `on` always, and releases a ref_model that you pass; `off` never."
)
# What TRL calls the references of a batch; the third is ours, of chosen answers under other images.
REFERENCE_COLUMNS = ("ref_chosen_logps", "ref_rejected_logps", "ref_other_image_logps")
SECONDS_PER_SHARD = 20.0  # the most that a crash loses


class NoReference(torch.nn.Module):
    """Stands where TRL would load a reference model, while a trainer is made whose references come from the store."""

    config = PreTrainedConfig()

    def forward(self) -> None:
        """Never called: the trainer takes the place back."""


@dataclass(frozen=True)
class StoredReferences:
    """Reference log-probabilities of every pair that a run trains or evaluates on, by key.

    Attributes:
        encoder: makes the keys of rows.
        ld_alpha: TRL's; where it is set, a sequence's value depends on the other of its pair.
        weights: the fingerprint of the reference's weights.
        logprob_of: summed log-probability of each sequence.
        rows: how many distinct rows there are; `found` of them were stored before the run.
    """

    encoder: SequenceEncoder
    ld_alpha: float | None
    weights: str
    logprob_of: dict[str, float]
    rows: int = 0
    found: int = 0

    def keys(self, row: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
        """For each pair of the row the keys of its sequences."""
        pairs = self.encoder.preference_keys(row)
        if self.ld_alpha is None:
            return pairs
        return tuple(
            (fingerprint(chosen, rejected, self.ld_alpha), fingerprint(rejected, chosen, self.ld_alpha))
            for chosen, rejected in pairs
        )

    def columns(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """What of `REFERENCE_COLUMNS` the rows have, (B,) each; nothing if a pair is not stored."""
        pairs = [pair for row in rows for pair in self.keys(row)]
        if not all(key in self.logprob_of for pair in pairs for key in pair):
            return {}
        logprobs = [torch.tensor([self.logprob_of[key] for key in keys]) for keys in zip(*pairs, strict=True)]
        return dict(zip(REFERENCE_COLUMNS, logprobs, strict=False))


def uses_reference_store(args: Any, train_dataset: Any, eval_dataset: Any = None, data_collator: Any = None) -> bool:
    """Whether a trainer of these arguments takes its references from the store.

    Raises:
        ConfigError: `reference_store` is unknown, or `on` where references cannot be stored.
    """
    choice = getattr(args, "reference_store", "auto")
    if choice not in STORE_CHOICES:
        raise ConfigError(f"reference_store: expected one of {', '.join(STORE_CHOICES)}; got '{choice}'.")
    if choice == "off" or args is None:
        return False
    obstacle = _obstacle(args, train_dataset, data_collator, eval_dataset)
    if obstacle is None:
        return choice == "on" or planned_rows(args, len(train_dataset)) >= len(train_dataset)
    if choice == "on":
        raise ConfigError(f"reference_store is on, but {obstacle}. Set reference_store to auto or off.")
    return False


def moving_reference(parts: TrainerParts) -> bool:
    """Whether the reference is not the same at each step, so that nothing of it can be stored; says so on stderr.

    The reference of adapters is the model beneath them, in training as the policy is: it moves with what they train of
    that model (`bias: all`), and drops at random where attention does, which `disable_dropout` leaves on.

    Raises:
        ConfigError: it does, and `reference_store` is on.
    """
    adapters = set(getattr(parts.model, "peft_config", {}))
    trained = (name for name, value in parts.model.named_parameters() if value.requires_grad)
    moving = next((name for name in trained if adapters.isdisjoint(name.split("."))), None)
    dropping = _dropping(parts.model)
    if not adapters or (moving is None and dropping is None):
        return False
    reason = f"the model drops at random in training ({dropping}), as reference, too"
    if moving is not None:
        reason = f"the run trains {moving}, which stays when the adapters are off, so that the reference moves with it"
    if getattr(parts.args, "reference_store", "auto") == "on":
        raise ConfigError(f"reference_store is on, but {reason}. Set reference_store to auto or off.")
    say(f"References are not stored: {reason}, as in TRL.")
    return True


def _dropping(model: Any) -> str | None:
    """The first setting of the model without its adapters that drops at random in training; None without one."""
    modules = ((name, module) for name, module in model.named_modules() if "lora_dropout" not in name.split("."))
    return next((f"{name} {dropping}" for name, module in modules if (dropping := dropout_of(module))), None)


def store_references(
    parts: TrainerParts, encoder: SequenceEncoder, score: Callable[[list[Any]], torch.Tensor], track: Track
) -> StoredReferences:
    """The references of the trainer's datasets, computed where the store lacks them, with progress on stderr.

    What is computed is on disk within seconds, so that a crash or Ctrl-C loses little of it.

    Args:
        score: the reference's summed log-probability of each sequence of some rows, chosen of all pairs first.
        track: shows progress, as `read_rows` wants it.
    """
    model, args = parts.reference, parts.args
    adapters = _trained_adapters(model)
    base = model.get_base_model() if isinstance(model, PeftModel) else parts.accelerator.unwrap_model(model)
    weights = weights_fingerprint(base, adapters=adapters)
    references = StoredReferences(encoder, args.ld_alpha, weights, {})
    store = _open_store(parts, base, fingerprint(weights, settings_fingerprint(base, adapters=adapters)))
    rows_of = _rows_of_keys(parts.rows, references, track)
    missing = _take(store, rows_of, references)
    if missing:
        say(f"References: {len(rows_of) - len(missing):,} of {len(rows_of):,} rows are stored.")
    mine = _share(parts.accelerator, rows_of, missing)
    size = args.precompute_ref_batch_size or args.per_device_train_batch_size
    batches = [mine[start : start + size] for start in range(0, len(mine), size)]
    if batches:
        shown = track(batches, len(batches), "Reference log-probabilities")
        _compute(model, store, shown, references, score)
    parts.accelerator.wait_for_everyone()
    store.refresh()
    _take(store, dict.fromkeys(missing), references)
    return replace(references, rows=len(rows_of), found=len(rows_of) - len(missing))


class ReferenceWatch(TrainerCallback):
    """Whether stored references are still those of the trainer's reference model; looks closely at each epoch's start.

    A policy that is its own reference by what it was before its first step, with no model kept, cannot change.
    """

    def __init__(self, parts: TrainerParts) -> None:
        self._reference = parts.ref_model
        self._unchanged: Unchanged | None = None
        self.ended = False
        model = parts.accelerator.unwrap_model(parts.reference)
        adapted = parts.ref_model is None and isinstance(model, PeftModel)
        if adapted or parts.ref_model is not None:
            base, adapters = (base_model(model), _trained_adapters(model)) if adapted else (model, ())
            self._unchanged = Unchanged(base, adapters=adapters, processor=parts.processor)

    def holds(self, reference: Any) -> bool:
        """Whether batches may take what is stored, when the trainer's `ref_model` is this one; once they may not, that
        is said, and stays so."""
        if reference is not self._reference:
            self._end("trainer.ref_model is another model")
        self._look(thorough=False)
        return not self.ended

    def expect(self, reference: Any) -> None:
        """The trainer's reference model is this one from now on: the same that was asked before."""
        self._reference = reference

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._look(thorough=True)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._look(thorough=True)

    def _look(self, thorough: bool) -> None:
        reason = self._unchanged.reason(thorough) if self._unchanged is not None and not self.ended else ""
        if reason:
            self._end(reason)

    def _end(self, reason: str) -> None:
        if not self.ended:
            logger.warning(
                "Stored references are used no more, since %s: the reference is asked in each step from here on.",
                reason,
            )
        self.ended = True


def planned_rows(args: Any, rows: int) -> float:
    """Rows that a run over a dataset of so many trains on, repetitions counted."""
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    return args.max_steps * batch if args.max_steps > 0 else args.num_train_epochs * rows


def is_sharded(args: Any) -> bool:
    """Whether FSDP or DeepSpeed spreads the weights over processes, so that none can hash or use them alone."""
    return is_fsdp(args) or bool(args.deepspeed) or os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"


def is_fsdp(args: Any) -> bool:
    """Whether FSDP shards the model, by the arguments or by the launcher."""
    return bool(args.fsdp) or os.environ.get("ACCELERATE_USE_FSDP") == "true"


def _obstacle(args: Any, train_dataset: Any, data_collator: Any, eval_dataset: Any) -> str | None:
    """Why references cannot be stored, or None."""
    if data_collator is not None:
        return "a data_collator was given, whose batches Sightline does not know"
    if not is_table(train_dataset):
        return why_no_table("train_dataset", train_dataset)
    if not has_images(train_dataset):
        return "train_dataset has no images"
    parts = eval_dataset.values() if isinstance(eval_dataset, dict) else [eval_dataset]
    if any(is_transformed(part) for part in parts):
        return "the transform of eval_dataset makes its rows anew"
    if args.sync_ref_model:
        return "sync_ref_model changes the reference while training"
    if policy_of(args) != NONE:
        return f"augmentation {policy_of(args)} changes the pictures, and references with them, in each epoch"
    return "FSDP or DeepSpeed shards the model" if is_sharded(args) else None


def _open_store(parts: TrainerParts, base: Any, key: str) -> TensorStore:
    """The store of the reference `base`, whose weights and settings have the hash `key`: that, processor, tokenizer,
    precision."""
    counted = {name: value for name, value in adapter_settings(parts.reference).items() if name == "ref"}
    namespace = stored_under(
        key,
        counted,
        processor_fingerprint(parts.processor),
        tokenizer_fingerprint(parts.processor.tokenizer),
        parts.accelerator.mixed_precision,
    )
    about = {
        "model": base.config._name_or_path or base.config.model_type,
        "dtype": str(base.dtype).removeprefix("torch."),
        "precision": parts.accelerator.mixed_precision,
    }
    return TensorStore("references", namespace, about)


def _trained_adapters(model: Any) -> list[str]:
    """The adapters that are no part of the reference; what TRL calls "ref" is a copy of the policy's first one."""
    return [name for name in getattr(model, "peft_config", {}) if name != "ref"]


def _rows_of_keys(rows: GivenRows, references: StoredReferences, track: Track) -> dict[Any, Any]:
    """A dataset and an index in it for each distinct row of a trainer's datasets, by the keys of its pairs."""
    found: dict[Any, Any] = {}
    for part in (rows.train, *rows.evaluation.values()):
        if isinstance(part.dataset, Dataset):
            for index, row in enumerate(track(part.dataset, len(part.dataset), "Reading pairs")):
                found.setdefault(references.keys(row), (part.dataset, index))
    return found


def _take(store: TensorStore, rows_of: dict[Any, Any], references: StoredReferences) -> dict[Any, Any]:
    """Moves what the store has into `references`; returns the rows that it lacks."""
    missing = {}
    for pairs, row in rows_of.items():
        keys = {key for pair in pairs for key in pair}
        values = {key: value for key in keys if (value := store.get(key)) is not None}
        references.logprob_of.update((key, float(value)) for key, value in values.items())
        if len(values) < len(keys):
            missing[pairs] = row
    return missing


def _share(accelerator: Any, rows_of: dict[Any, Any], missing: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The missing rows that this process computes: by their place among all rows, since what is missing may differ
    between processes while the first of them, or another run, has begun to write."""
    process, processes = accelerator.process_index, accelerator.num_processes
    return [(pairs, row) for pairs, row in list(rows_of.items())[process::processes] if pairs in missing]


def _compute(
    model: Any,
    store: TensorStore,
    batches: Iterable[list[tuple[Any, Any]]],
    references: StoredReferences,
    score: Callable[[list[Any]], torch.Tensor],
) -> None:
    """Scores rows with the reference and stores them."""
    was_training = model.training
    model.eval()
    written = time.monotonic()
    try:
        for batch in batches:
            logprob_N = score([dataset[index] for _, (dataset, index) in batch]).float().cpu()
            # A batch holds the chosen of all pairs, then the rejected, so the keys of the pairs are turned likewise.
            pairs = [pair for keys, _ in batch for pair in keys]
            for key, value in zip((key for keys in zip(*pairs, strict=True) for key in keys), logprob_N, strict=True):
                store.put(key, value)
                references.logprob_of[key] = float(value)
            if time.monotonic() - written >= SECONDS_PER_SHARD:
                store.flush()
                written = time.monotonic()
    finally:
        store.flush()
        model.train(was_training)
