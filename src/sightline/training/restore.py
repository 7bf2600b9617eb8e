"""Load a checkpoint's weights back into a model in training, under any names of transformers."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from sightline.models.pretrained import load_pretrained
from sightline.training.checkpoints import numbered


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint in the folder that is whole, or None; what is passed over is said.

    A power cut, a full disk or a kill under another trainer leaves half ones: `trainer_state.json` is the last file
    that transformers writes (5.23), and weights and optimizer states end where their own heads say.
    """
    for _, path in sorted(numbered(folder).items(), reverse=True):
        damage = find_damage(path)
        if not damage:
            return str(path)
        print(f"{path} is not whole ({damage}); going on from the one before it.", file=sys.stderr)
    return None


def find_damage(checkpoint: Path) -> str:
    """The file of a checkpoint that is missing or was not written to its end; empty where it is whole."""
    try:
        int(json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return "trainer_state.json"
    for path in sorted(checkpoint.iterdir()):
        if path.suffix == ".safetensors" and not _is_whole_safetensors(path):
            return path.name
        if path.suffix in (".pt", ".pth", ".bin") and not zipfile.is_zipfile(path):  # torch.save writes archives
            return path.name
    return ""


def step_of(checkpoint: str | None) -> int:
    """The steps that were done when a checkpoint was written; 0 without one."""
    if checkpoint is None:
        return 0
    try:
        state = json.loads(Path(checkpoint, "trainer_state.json").read_text(encoding="utf-8"))
        return int(state["global_step"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0  # no whole checkpoint, which the Trainer refuses by itself


def _is_whole_safetensors(path: Path) -> bool:
    """Whether the file is as long as its head says: 8 bytes for the head's length, the head, the tensors."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                return False
            head = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in head.items() if name != "__metadata__"]
        return path.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def restores_itself(model: Any) -> bool:
    """Whether transformers' own restoring of a model without wrappers is right, as for adapters, which keep names."""
    return isinstance(model, PeftModel) or not isinstance(model, PreTrainedModel)


def restore_weights(model: Any, checkpoint: str | Path) -> None:
    """Load every weight of `checkpoint` into `model`.

    A checkpoint of a LLaVA and of other families carries the names of the Hub (`language_model.model...`), which
    transformers 5.23 matches in `from_pretrained` but not in `Trainer._load_from_checkpoint`: there no name matches, a
    warning is logged, and training goes on from the weights it began with. Delete this file when it matches them.

    Raises:
        RuntimeError: a weight is missing or has another shape.
    """
    with torch.random.fork_rng():  # initialising the copy must not move the run's random numbers
        saved = load_pretrained(type(model), checkpoint, {"dtype": model.dtype})
    model.load_state_dict(saved.state_dict())
