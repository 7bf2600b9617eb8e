"""Put a checkpoint's weights back into a model that trains, under whatever names transformers saved them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from sightline.models.pretrained import load_pretrained

_NUMBERED = re.compile(r"checkpoint-(\d+)")  # not what somebody made of one, `checkpoint-2-merged` say


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint in the folder that was written to its end, or None.

    `trainer_state.json` is the last file that transformers writes into one (5.23); without it, a run was killed there.
    """
    found = ((_NUMBERED.fullmatch(path.name), path) for path in folder.glob("checkpoint-*") if path.is_dir())
    numbered = {int(name[1]): path for name, path in found if name is not None}
    for _, path in sorted(numbered.items(), reverse=True):
        if _is_json(path / "trainer_state.json"):
            return str(path)
        print(f"{path} was not written to its end; going on from the one before it.", file=sys.stderr)
    return None


def step_of(checkpoint: str | None) -> int:
    """The steps that were done when a checkpoint was written; 0 without one."""
    if checkpoint is None:
        return 0
    try:
        state = json.loads(Path(checkpoint, "trainer_state.json").read_text(encoding="utf-8"))
        return int(state["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # no whole checkpoint, which the Trainer refuses by itself


def told_steps(result: Any) -> str:
    """Steps, time and mean loss of a run's result as its summary says them."""
    if result.first >= result.steps:
        return f"{result.steps} steps were done before, none now"
    part = f" of steps {result.first + 1} to {result.steps}" if result.first else ""
    return f"{result.steps} steps in {result.seconds:.0f} s, mean loss {result.train_loss:.4f}{part}"


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


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
        saved = load_pretrained(type(unwrapped), checkpoint, {"dtype": unwrapped.dtype})
    unwrapped.load_state_dict(saved.state_dict())
