"""Checks before a model is loaded: refuse encoder-decoders, aim LoRA at the decoder."""

from __future__ import annotations

import copy
import logging
import re
from typing import Any

from peft import PeftModel

from sightline.data.encoding.prompts import adopt_template
from sightline.errors import ConfigError, InputError
from sightline.models.adapter_folders import CONVERTED, keep_base_name, unlasting_start
from sightline.models.families import FAMILIES, family_of
from sightline.models.patches import patched_config
from sightline.types import FamilyFacts

logger = logging.getLogger("sightline")


def for_family(model: Any, trl_arguments: dict[str, Any]) -> dict[str, Any]:
    """TRL's arguments for this model (or the name of one), after transformers was corrected for its family: adapters
    that name no layers get those of the decoder.

    Raises:
        InputError: the model is an encoder-decoder.
    """
    _require_lasting(trl_arguments.get("peft_config"))
    adopt_template(trl_arguments.get("processing_class"))
    config = patched_config(model)
    if config is None:
        return trl_arguments
    if config.is_encoder_decoder:
        raise InputError(
            f"Expected a model whose decoder reads images and text in one sequence; {config.model_type} with "
            f"{config.get_text_config().model_type} has an encoder for the prompt: `sightline ask` and `eval` answer "
            "with it, but it is not trained. Take one of docs/families.md; BLIP-2 is there with OPT."
        )
    facts, adapters = FAMILIES.get(config.model_type), trl_arguments.get("peft_config")
    if facts is None or adapters is None or getattr(adapters, "target_modules", "") is not None:
        return trl_arguments
    if getattr(adapters, "target_parameters", None):
        return trl_arguments
    adapters = copy.copy(adapters)
    adapters.target_modules = decoder_layers(facts)
    return {**trl_arguments, "peft_config": adapters}


def decoder_layers(facts: FamilyFacts) -> str:
    """A pattern for PEFT's `target_modules` that matches the linear layers of the decoder alone."""
    return rf"{re.escape(facts.decoder)}\..*\.({'|'.join(facts.linear_layers)})"


def _require_lasting(adapters: Any) -> None:
    """Raise ConfigError for an adapter that could not be loaded as it was trained."""
    start = unlasting_start(getattr(adapters, "init_lora_weights", None))
    if start:
        raise ConfigError(
            f"init_lora_weights: expected a start that a saved adapter can be loaded from; got {start!r}, which takes "
            "a part out of the base model that no file holds. Take pissa or olora, or give the trainer a PeftModel, "
            "and save it yourself as plain LoRA (PEFT's path_initial_model_for_weight_conversion)."
        )


def settle_adapters(model: Any, args: Any) -> None:
    """Lets the adapters of a trainer that was made name their base for good, and says where they stand, and of those
    that cannot be loaded as they were trained how to save them."""
    for name, settings in getattr(model, "peft_config", {}).items():
        if start := unlasting_start(getattr(settings, "init_lora_weights", None)):
            logger.warning(
                "The adapter %s began by init_lora_weights=%r: what is saved cannot be loaded. %s",
                name,
                start,
                CONVERTED,
            )
    keep_base_name(model, (args.model_init_kwargs or {}).get("revision"))
    report_adapted_tower(model)


def report_adapted_tower(model: Any) -> None:
    """Say that adapters stand outside the decoder; names such as `q_proj` or `all-linear` match the tower, too."""
    if not isinstance(model, PeftModel):
        return
    facts = family_of(model.get_base_model())
    names = {name.partition(".lora_A.")[0] for name, _ in model.named_parameters() if ".lora_A." in name}
    outside = sorted(name for name in names if facts and not name.startswith(f"base_model.model.{facts.decoder}."))
    if outside:
        logger.warning(
            "%d of %d adapted layers stand outside the decoder (%s). Leave lora_target_modules out to adapt the "
            "decoder alone.",
            len(outside),
            len(names),
            outside[0].removeprefix("base_model.model."),
        )
