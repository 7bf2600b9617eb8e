"""Save like every trainer of ours: secrets hidden in settings, usual rights on weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from transformers import Trainer

from sightline.models.stored_weights import give_usual_rights
from sightline.secrets import HIDDEN, hidden, sealed
from sightline.training.pushing import require_write_token, told_refusals


class SealedTrainer(Trainer):
    """Stands beneath our trainers. transformers (5.23) pickles its settings into each checkpoint and model folder."""

    args: Any

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        seal(self.args)
        super()._save(output_dir, state_dict)
        if self.args.should_save:  # of several processes one moves the folder when it is done
            give_usual_rights(Path(self.args.output_dir if output_dir is None else output_dir))

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """As transformers does before it trains, but what the Hub refuses is one line."""
        with told_refusals(self.args.hub_model_id or self.args.output_dir):
            super().init_hf_repo(token, private)
        if self.is_world_process_zero():
            require_write_token(self.args.hub_token if token is None else token)

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
