"""Load DPO's reference model again when a batch holds pairs that were unknown at the start."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl.trainer.utils import (
    add_fused_lm_head,
    disable_dropout_in_model,
    get_config_model_id,
)

from sightline.engine.fingerprint import weights_fingerprint
from sightline.engine.selftest import RouteChoice
from sightline.errors import ConfigError
from sightline.training.folder_code import create_model, loaded_by_trl
from sightline.training.sharing import share_forward
from sightline.training.trainer_parts import TrainerParts

ADVICE = (
    "Pass them as eval_dataset when the trainer is made, pass a ref_model, or set reference_store to off. The trained "
    "model is as it was: save_model() saves it."
)


@dataclass(frozen=True)
class AbsentReference:
    """Where a reference that a run let go of can be had again.

    Attributes:
        name: the folder or Hub id that it came from.
        weights: their fingerprint, as they were when references were stored.
        spare: the model itself, where there is no folder of it.
    """

    name: str
    weights: str
    spare: Any = None


def spare_reference(model: Any) -> Any:
    """A copy of a model in memory, its own reference, that no folder has; None for all that can be loaded again."""
    if isinstance(model, str) or get_config_model_id(model.config):
        return None
    return copy.deepcopy(model)


def bring_back_reference(parts: TrainerParts, absent: AbsentReference, route: RouteChoice) -> Any:
    """The reference model, prepared as TRL (1.16) prepares one; says so on stderr.

    Raises:
        ConfigError: it is nowhere, or what lies there is another model by now.
    """
    where = "memory" if absent.spare is not None else absent.name
    model = absent.spare if absent.spare is not None else _load(parts, absent.name)
    if parts.args.disable_dropout:
        disable_dropout_in_model(model)
    if weights_fingerprint(model) != absent.weights:
        raise ConfigError(
            f"A batch holds pairs that were in no dataset when the trainer was made, the reference model was not kept, "
            f"and {absent.name} holds other weights than it had then. {ADVICE}"
        )
    if parts.accelerator.is_main_process:
        print(
            f"Reference: taken from {where} again, since a batch holds pairs that were in no dataset when the trainer "
            "was made.",
            file=sys.stderr,
        )
    add_fused_lm_head(model)
    model = parts.accelerator.prepare_model(model, evaluation_mode=True)
    if route.route != "plain":
        share_forward(parts.accelerator.unwrap_model(model), route, parts.accelerator.autocast)
    return model.eval()


def _load(parts: TrainerParts, name: str) -> Any:
    policy, args = parts.accelerator.unwrap_model(parts.model), parts.args
    settings = dict(args.model_init_kwargs or {})
    settings.setdefault("dtype", policy.dtype)
    settings.setdefault("attn_implementation", policy.config._attn_implementation)
    if args.distributed_state.distributed_type in ("MULTI_GPU", "DEEPSPEED"):
        settings["device_map"] = None
    try:
        with loaded_by_trl(name):
            return create_model(name, **settings)
    except (OSError, ValueError) as error:
        place = f"could not be loaded from {name}" if name else "came from no folder"
        reason = f": {str(error).splitlines()[0]}" if name and not Path(name).is_dir() else ""
        raise ConfigError(
            "A batch holds pairs that were in no dataset when the trainer was made, the reference model was not kept, "
            f"and it {place}{reason}. {ADVICE}"
        ) from error
