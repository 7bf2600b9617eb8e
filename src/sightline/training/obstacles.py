"""Reasons to take plain rows or TRL's own path, and reasons to refuse a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.distributed.tensor import DTensor

from sightline.data.tables import row_columns
from sightline.errors import ConfigError
from sightline.training.references import is_fsdp, is_sharded
from sightline.training.trainer_parts import TrainerParts

# Tuners of PEFT 0.21 that change each token by itself, whatever row it stands in: training on forests equals TRL's.
PER_TOKEN_TUNERS = frozenset(
    "ADALORA BEFT BOFT C3A DELORA FOURIERFT GRALORA HIRA HRA IA3 LN_TUNING LOHA LOKR LORA MISS OFT OSF PSOFT RANDLORA "
    "ROAD SHIRA TRAINABLE_TOKENS UNILORA VBLORA VERA WAVEFT".split()
)
# Settings of LoRA that look at whole rows, or draw anew in each forward pass.
ROW_SETTINGS = {
    "alora_invocation_tokens": "activated LoRA looks for its invocation tokens in every row (alora_invocation_tokens)",
    "monteclora_config": "MonteCLoRA draws weights anew in each forward pass (monteclora_config)",
    "velora_config": "VeLoRA keeps parts of each row's activations (velora_config)",
}
# What a subclass may override of TRL's trainers that reads the batch itself.
LOSS_METHODS = ("compute_loss", "_compute_loss", "prediction_step", "training_step", "_prepare_inputs")
LIBRARIES = ("sightline", "trl", "transformers")


def needs_plain_rows(parts: TrainerParts) -> str | None:
    """Why this run needs the full logits, or rows as they are, which a forest does not make; or None."""
    obstacles = (_adapters_obstacle, _logits_obstacle, _noise_obstacle, _placement_obstacle)
    return next((reason for obstacle in obstacles if (reason := obstacle(parts))), None)


def overridden(parts: TrainerParts) -> str | None:
    """Which method that reads batches a class of the user's overrides; None where none is."""
    for method in LOSS_METHODS:
        owner = next((one for one in parts.kind.__mro__ if method in vars(one)), None)
        if owner is not None and owner.__module__.split(".")[0] not in LIBRARIES:
            return f"{owner.__name__} overrides {method}, which may read rows or logits; share: mask insists"
    return None


def fork_obstacle(args: Any) -> str | None:
    """Why this run cannot take the fork route, or None."""
    if is_sharded(args):
        return "FSDP or DeepSpeed shards the model, whose processes would run different numbers of passes"
    if args.gradient_checkpointing and (args.gradient_checkpointing_kwargs or {}).get("use_reentrant"):
        return "gradient checkpointing needs gradient_checkpointing_kwargs {use_reentrant: false} to reach the trunk"
    return None


def refuse_inexact(parts: TrainerParts) -> None:
    """Nothing where the run is exact by some route.

    Raises:
        ConfigError: rows are cut over processes, TRL 1.16 itself trains one process's part of the head, or
            `pad_to_multiple_of` is set for rows that TRL pads to no multiple.
    """
    multiple = parts.args.pad_to_multiple_of
    if multiple is not None and "messages" not in row_columns(parts.dataset):
        raise ConfigError(
            f"pad_to_multiple_of: expected none, since TRL pads rows of messages alone; got {multiple}. Leave it out."
        )
    parallel = parts.accelerator.parallelism_config
    for size in ("cp_size", "sp_size"):
        if parallel is not None and getattr(parallel, size, 1) > 1:
            raise ConfigError(
                f"{size}: expected 1, since rows with images are not cut along their length; got "
                f"{getattr(parallel, size)}. Bound the rows by max_length, or share the model by FSDP with LoRA."
            )
    if _trains_a_part_of_the_head(parts):
        raise ConfigError(
            "fsdp: TRL 1.16 reads the head's weight itself, so that with FSDP an lm_head that is not tied to the "
            "embedding learns from one process's rows alone, without a word. Train by LoRA (use_peft), freeze lm_head, "
            "take DeepSpeed ZeRO, or leave fsdp out."
        )


def _adapters_obstacle(parts: TrainerParts) -> str | None:
    configs: Sequence[Any] = list(getattr(parts.model, "peft_config", {}).values())
    if any(config.is_prompt_learning for config in configs):
        return "prompt-learning adapters prepend virtual tokens to every row"
    for setting, reason in ROW_SETTINGS.items():
        if any(getattr(config, setting, None) for config in configs):
            return reason
    kinds = [getattr(config.peft_type, "value", str(config.peft_type)) for config in configs]
    other = next((kind for kind in kinds if kind not in PER_TOKEN_TUNERS), None)
    return f"adapters of the type {other} are not known to change each token by itself" if other else None


def _logits_obstacle(parts: TrainerParts) -> str | None:
    if parts.replaces_loss:
        return "compute_loss_func and label_smoothing_factor need the full logits"
    return "the mixture-of-experts auxiliary loss counts the tokens of plain rows" if parts.balances_experts else None


def _noise_obstacle(parts: TrainerParts) -> str | None:
    if parts.args.neftune_noise_alpha is not None:
        return "neftune_noise_alpha scales its noise by the length of each row"
    return None


def _placement_obstacle(parts: TrainerParts) -> str | None:
    """Where the weights lie, if not whole in each process."""
    if is_sharded(parts.args):
        return "FSDP or DeepSpeed shards the model"
    parallel = parts.accelerator.parallelism_config
    if parallel is not None and getattr(parallel, "tp_size", 1) > 1:
        return "tensor parallelism spreads each layer over processes (tp_size)"
    if any(isinstance(value, DTensor) for value in parts.model.parameters()):
        return "the model was loaded in parts, spread over processes (DTensor)"
    devices = set((getattr(parts.base, "hf_device_map", None) or {}).values())
    return f"device_map spreads the model over {len(devices)} devices" if len(devices) > 1 else None


def _trains_a_part_of_the_head(parts: TrainerParts) -> bool:
    """Whether the head has a weight of its own that trains while FSDP holds a part of it in each process."""
    base = parts.base
    head = base.get_output_embeddings()
    if head is None or head.weight is base.get_input_embeddings().weight or not head.weight.requires_grad:
        return False
    return is_fsdp(parts.args) or isinstance(head.weight, DTensor)
