"""Put a checkpoint's weights back into a model that trains, under whatever names transformers saved them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel


def restores_itself(trainer: Any, model: Any) -> bool:
    """Whether transformers' own restoring is right: for adapters, FSDP and DeepSpeed, which keep the model's names."""
    unwrapped = trainer.accelerator.unwrap_model(model)
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    return sharded or isinstance(unwrapped, PeftModel) or not isinstance(unwrapped, PreTrainedModel)


def restore_weights(trainer: Any, model: Any, checkpoint: str | Path) -> None:
    """Load every weight of `checkpoint` into `model`.

    A checkpoint of a LLaVA and of other families carries the names of the Hub (`language_model.model...`), which
    transformers 5.23 matches in `from_pretrained` but not in `Trainer._load_from_checkpoint`: there no name matches, a
    warning is logged, and training goes on from the weights it began with. Delete this file when it matches them.

    Raises:
        RuntimeError: a weight is missing or has another shape.
    """
    unwrapped = trainer.accelerator.unwrap_model(model)
    with torch.random.fork_rng():  # initialising the copy must not move the run's random numbers
        saved = type(unwrapped).from_pretrained(checkpoint, dtype=unwrapped.dtype)
    unwrapped.load_state_dict(saved.state_dict())
