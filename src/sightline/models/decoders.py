"""Keep or refuse what a decoder does outside its layers and LLaVA's classes would omit."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sightline.errors import ConfigError
from sightline.models.parts import Part

PROBED_TOKENS = 16
TOLERANCE = 1e-3  # of the largest logit: a lost scale or cap is off by a tenth and more
_MULTIPLIERS = ("logit_scale", "output_multiplier", "lm_head_multiplier")


def check_decoder(part: Part) -> None:
    """Raise ConfigError for a decoder whose logits are capped, which no class of LLaVA's kind does."""
    cap = getattr(part.config, "final_logit_softcapping", None)
    if cap is not None:
        advice = (
            "Take another decoder (PaliGemma 2 is the class for this one)."
            if part.folder is not None
            else "Set final_logit_softcapping to null."
        )
        raise ConfigError(
            f"decoder {part.name}: its logits are bounded by final_logit_softcapping {cap}, which LLaVA's class leaves "
            f"out, so that answers would have other probabilities. {advice}"
        )


def check_head(pretrained: Any, part: Part) -> None:
    """Raise ConfigError for a decoder whose head has a bias, which LLaVA's has not."""
    if getattr(pretrained.get_output_embeddings(), "bias", None) is not None:
        raise ConfigError(
            f"decoder {part.name}: the head of {type(pretrained).__name__} has a bias, which LLaVA's class leaves out. "
            "Take another decoder."
        )


def keep_logit_scale(model: Any, part: Part) -> None:
    """Moves the scale of a decoder's logits into its last norm, since LLaVA's class applies the head alone.

    The logits stay what they were (Granite's would come out 8 times too large, Cohere's 16 times). The norm's weight is
    scaled, so that a head that is tied to the embeddings stays as it is.

    Raises:
        ConfigError: the decoder's last norm cannot take the scale.
    """
    config = model.config.get_text_config()
    scale = _scale_of(config)
    if scale == 1.0:
        return
    norm = _last_norm(model.model.language_model)
    if norm is None or not _set_neutral(config):
        raise ConfigError(
            f"decoder {part.name}: its logits are scaled by {scale:g} behind the head, which LLaVA's class leaves out, "
            "and its last norm cannot take that in. Take another decoder."
        )
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.mul_(scale)


@torch.no_grad()
def check_same_logits(model: Any, pretrained: Any, part: Part) -> None:
    """Raise ConfigError where the model says other things of a text than the decoder that it was built from."""
    size = min(model.config.get_text_config().vocab_size, pretrained.config.vocab_size)
    ids = torch.arange(PROBED_TOKENS)[None] * max(1, size // PROBED_TOKENS) % size
    was_training = model.training, pretrained.training
    theirs = pretrained.eval()(input_ids=ids, use_cache=False).logits[..., :size].float()
    ours = model.eval()(input_ids=ids, use_cache=False).logits[..., :size].float()
    model.train(was_training[0])
    pretrained.train(was_training[1])
    error = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-6))
    if not error <= TOLERANCE:
        raise ConfigError(
            f"decoder {part.name}: inside LLaVA's class it gives other logits of the same text than alone, by "
            f"{error:.0%} of the largest. {type(pretrained).__name__} does something outside of its layers that "
            "LLaVA's class leaves out. Take another decoder."
        )


def _scale_of(config: Any) -> float:
    """What the causal model multiplies its head's output by."""
    given = next((value for name in _MULTIPLIERS if (value := getattr(config, name, None)) is not None), None)
    divisor = getattr(config, "logits_scaling", None)
    if given is None and divisor is not None:
        given = divisor if config.model_type == "hyperclovax" else 1 / divisor
    return 1.0 if given is None else float(given)


def _set_neutral(config: Any) -> bool:
    """Whether the config's scale could be set to one."""
    for name in (*_MULTIPLIERS, "logits_scaling"):
        if getattr(config, name, None) is None:
            continue
        if isinstance(getattr(type(config), name, None), property):  # MiniCPM3's: width over this base
            config.dim_model_base = config.hidden_size
        else:
            setattr(config, name, 1.0)
    return _scale_of(config) == 1.0


def _last_norm(decoder: nn.Module) -> nn.Module | None:
    """The norm in front of the head, if what comes out of it is in proportion to its parameters."""
    for name in ("norm", "final_layernorm"):
        norm = getattr(decoder, name, None)
        if isinstance(norm, nn.Module) and _is_proportional(norm):
            return norm
    return None


@torch.no_grad()
def _is_proportional(norm: nn.Module) -> bool:
    """Twice the parameters, twice the output: not so of Gemma's, whose weight is counted from one."""
    parameters = list(norm.parameters())
    if not parameters:
        return False
    width = parameters[0].shape[-1]
    probe = torch.linspace(-1, 1, width)[None]
    once = norm(probe)
    for parameter in parameters:
        parameter.mul_(2)
    twice = norm(probe)
    for parameter in parameters:
        parameter.div_(2)
    return bool(torch.allclose(twice, 2 * once, rtol=1e-5, atol=1e-6))
