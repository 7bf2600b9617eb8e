"""What every trainer does alike with secrets of its settings: it uses them, and saves and reports them hidden."""

from __future__ import annotations

import dataclasses
from typing import Any

from transformers import Trainer

from sightline.secrets import HIDDEN, hidden, sealed


class SealedTrainer(Trainer):
    """Stands beneath our trainers. transformers (5.23) pickles its settings into each checkpoint and model folder."""

    args: Any

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        seal(self.args)
        super()._save(output_dir, state_dict)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        seal(self.args)
        super()._push_from_checkpoint(checkpoint_folder)


def seal(args: Any) -> None:
    """Puts a `Secret` in the place of each secret of a record of settings: it still opens doors, but is not pickled."""
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        found = sealed(value, field.name)
        if found is not value:
            setattr(args, field.name, found)


def reported(args: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """What `to_dict` gives to TensorBoard, Weights & Biases and the like: transformers hides top-level tokens alone."""
    return {**hidden(settings), "hub_token": HIDDEN if args.hub_token else None}
