"""Post-train and evaluate vision-language models, computing once whatever a batch shares."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sightline.training.dpo import DPOConfig, DPOTrainer
    from sightline.training.sft import SFTConfig, SFTTrainer

__all__ = ["DPOConfig", "DPOTrainer", "SFTConfig", "SFTTrainer"]

_HOMES = {
    "SFTConfig": "sightline.training.sft",
    "SFTTrainer": "sightline.training.sft",
    "DPOConfig": "sightline.training.dpo",
    "DPOTrainer": "sightline.training.dpo",
}


def __getattr__(name: str) -> Any:
    """Public names, imported at first use, so that `import sightline` loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sightline' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
