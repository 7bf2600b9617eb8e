"""Losses beside TRL's: two terms of mDPO, and presets for weighted lists of losses."""

# Dims: B pairs.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from trl.trainer.utils import FusedCausalLMOutput

from sightline.data.pictures.augmentation import Blank, Crop
from sightline.data.pictures.images import Change
from sightline.engine.forest import NO_LABEL
from sightline.errors import ConfigError

CONDITIONAL, ANCHOR = "mdpo_conditional", "mdpo_anchor"
MDPO_TERMS = (CONDITIONAL, ANCHOR)
PRESETS = {
    "mpo": {"sigmoid": 0.8, "bco_pair": 0.2, "sft": 1.0},  # InternVL's, arXiv 2411.10442
    "mdpo": {"sigmoid": 1.0, CONDITIONAL: 1.0, ANCHOR: 1.0},  # arXiv 2406.11839
}
PERTURBATIONS = ("crop", "blank")
PERTURBATION_HELP = (
    "The worse image for `mdpo_conditional` in rows without `rejected_images`: `crop`, a random part of each image, "
    "the same in every epoch, or `blank`, a grey image."
)
CROP_HELP = "Smallest and largest share of the image area that `mdpo_perturbation: crop` keeps."
DELTA_HELP = "`mdpo_anchor` pushes the reward of each chosen answer above this value."
NO_LOGITS = "mDPO's terms leave no logits, which compute_metrics and predict need. Leave those out, or the terms."
PER_TOKEN = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1", "label_mask")


def expand_preset(config: Any) -> str:
    """Puts the list that a preset stands for into `loss_type` and `loss_weights`; says what it did, if anything.

    Raises:
        ConfigError: a preset stands beside other losses or beside `loss_weights`.
    """
    names = [config.loss_type] if isinstance(config.loss_type, str) else list(config.loss_type)
    name = next((name for name in names if name in PRESETS), None)
    if name is None:
        return ""
    losses = PRESETS[name]
    written_out = f"loss_type: [{', '.join(losses)}] with loss_weights: {list(losses.values())}"
    if len(names) > 1:
        raise ConfigError(
            f"loss_type: expected {name} alone, since it stands for several losses; got {', '.join(names)}. "
            f"Write it out and add to it: {written_out}."
        )
    if config.loss_weights is not None:
        raise ConfigError(
            f"loss_weights: expected none, since loss_type {name} brings its own; got {config.loss_weights}. "
            f"Leave them out, or write it out and change it: {written_out}."
        )
    config.loss_type, config.loss_weights = list(losses), list(losses.values())
    return f"loss_type {name} stands for " + ", ".join(f"{loss} {weight}" for loss, weight in losses.items()) + "."


def check_mdpo_settings(config: Any) -> None:
    """Raise ConfigError where a setting of mDPO's terms is out of range, or one of TRL's does not go with them."""
    bounds = config.mdpo_crop
    if config.mdpo_perturbation not in PERTURBATIONS:
        choices = ", ".join(PERTURBATIONS)
        raise ConfigError(f"mdpo_perturbation: expected one of {choices}; got '{config.mdpo_perturbation}'.")
    if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1] <= 1:
        raise ConfigError(f"mdpo_crop: expected two shares, 0 <= low <= high <= 1; got {bounds}. Write [0.0, 0.2].")
    term = next((name for name in MDPO_TERMS if name in config.loss_type), None)
    if term is not None and (config.ld_alpha is not None or config.use_weighting):
        raise ConfigError(
            f"loss_type: expected TRL's losses alone, since ld_alpha or use_weighting is set; got {term}, which sums "
            "log-probabilities without weights. Unset them, or drop the term."
        )


def perturbation(args: Any) -> Change | None:
    """What `mdpo_conditional` does to images; None where the run has no such term."""
    if CONDITIONAL not in args.loss_type:
        return None
    low, high = args.mdpo_crop
    return Crop(low, high, args.seed) if args.mdpo_perturbation == "crop" else Blank()


@dataclass(frozen=True)
class LossTerms:
    """The losses of a run: TRL's own in order with their weights, and the weights of mDPO's terms."""

    types: list[str]
    weights: list[float]
    mdpo: dict[str, float]


def split_losses(types: Sequence[str], weights: Sequence[float]) -> LossTerms:
    """A run's weighted losses, mDPO's terms apart from those that TRL knows."""
    pairs = list(zip(types, weights, strict=True))
    kept = [(name, weight) for name, weight in pairs if name not in MDPO_TERMS]
    mdpo = {name: weight for name, weight in pairs if name in MDPO_TERMS}
    return LossTerms([name for name, _ in kept], [weight for _, weight in kept], mdpo)


@dataclass(frozen=True)
class MdpoTerms:
    """mDPO's weighted terms of a batch, and the margin of real images over others, (B,), where a term asks for it."""

    losses: list[Tensor]
    margin_B: Tensor | None


def mdpo_terms(
    weights: dict[str, float], logprobs: Sequence[Tensor], references: Sequence[Tensor], beta: float, delta: float
) -> MdpoTerms:
    """mDPO's weighted terms from summed log-probabilities of chosen, rejected and chosen under other images, (B,) each.

    With beta * log(policy / reference) as the reward of an answer, the terms are, each a mean over pairs:

        mdpo_conditional  -log sigmoid(reward(chosen | images) - reward(chosen | other images))
        mdpo_anchor       -log sigmoid(reward(chosen | images) - delta)

    Source: Wang et al. 2024, arXiv 2406.11839, L_CoPO and L_AncPO.
    """
    rewards = [beta * (policy_B - reference_B) for policy_B, reference_B in zip(logprobs, references, strict=True)]
    margin_B = rewards[0] - rewards[2] if CONDITIONAL in weights else None
    losses = [] if margin_B is None else [-weights[CONDITIONAL] * F.logsigmoid(margin_B).mean()]
    if ANCHOR in weights:
        losses.append(-weights[ANCHOR] * F.logsigmoid(rewards[0] - delta).mean())
    return MdpoTerms(losses, margin_B)


def record_of(model: Any, inputs: dict[str, Any], balances_experts: bool = False) -> FusedCausalLMOutput:
    """The model's record of all sequences of a batch, called as TRL (1.16) calls it."""
    arguments = {name: value for name, value in inputs.items() if name != "completion_mask"}
    arguments |= {"output_router_logits": True} if balances_experts else {}
    labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, NO_LABEL)
    return model(**arguments, use_cache=False, labels=labels, fused_lm_head=True)


def first_sequences(record: FusedCausalLMOutput, count: int) -> FusedCausalLMOutput:
    """The record of the first sequences; TRL splits what it is given in two, chosen and rejected."""
    return FusedCausalLMOutput(
        **{name: value[:count] if name in PER_TOKEN else value for name, value in record.items()}
    )
