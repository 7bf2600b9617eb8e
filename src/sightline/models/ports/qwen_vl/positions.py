"""How Qwen-VL tells positions: rotary angles, and what evaluation does beyond the length it was trained on."""

# Dims: R rows, L tokens of a row, D width of a head.
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

DOUBLINGS = 16  # of the trained length that a prompt may have
KEPT = "_ntk_alpha_R"  # the attribute of a cache that tells by what the base was stretched when its prompt was read


def prompt_lengths(attention_mask: Any, positions_RL: Tensor) -> Tensor:
    """Tokens of each row, (R,), without its padding.

    The authors count padding, too, so that an answer depends on the longest prompt of its batch; alone in its batch a
    prompt is read as theirs. A row whose mask has four dimensions is as long as its last position says.
    """
    if isinstance(attention_mask, Tensor) and attention_mask.dim() == 2:
        return attention_mask.sum(1)
    return positions_RL.amax(1) + 1


def ntk_alpha(length_R: Tensor, trained: int) -> Tensor:
    """By what the rotary base grows for prompts of these lengths, (R,): 1, and 3, 7, 15 beyond each doubling.

    Source: `max(1, 2 ** ceil(log2(length / trained) + 1) - 1)` of modeling_qwen.py, in whole numbers.
    """
    limits = trained * 2 ** torch.arange(DOUBLINGS, device=length_R.device)
    beyond_R = (length_R[:, None] > limits).sum(1)
    return 2 ** (beyond_R + 1) - 1


def kept_alpha(cache: Any, rows: int) -> Tensor | None:
    """What `keep_alpha` kept; None where the base is as it was trained.

    Raises:
        ValueError: the cache has lost or gained rows since.
    """
    alpha_R: Tensor | None = getattr(cache, KEPT, None)
    if alpha_R is not None and len(alpha_R) != rows:
        raise ValueError(
            f"The prompts of this cache were read in {len(alpha_R)} rows, of which some have another rotary base for "
            f"their length, and are continued in {rows}. Read them again."
        )
    return alpha_R


def keep_alpha(cache: Any, alpha_R: Tensor) -> None:
    """Lets a cache tell by what the base was stretched for the prompts in it, as long as they go on."""
    if cache is not None and bool((alpha_R > 1).any()):
        setattr(cache, KEPT, alpha_R)


def rotary(positions_RL: Tensor, alpha_R: Tensor | None, width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each token's angles, (R, 1, L, D) in fp32, for all heads."""
    exponent_D = torch.arange(0, width, 2, device=positions_RL.device, dtype=torch.float32) / width
    if alpha_R is None:
        rate_RD = (1 / base**exponent_D)[None]
    else:
        base_R1 = base * alpha_R[:, None].float() ** (width / (width - 2))
        rate_RD = 1 / base_R1**exponent_D
    angle = positions_RL[:, :, None].float() * rate_RD[:, None]
    angle_R1LD = torch.cat([angle, angle], dim=-1)[:, None]
    return angle_R1LD.cos(), angle_R1LD.sin()


def rotated(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Queries or keys turned by their angles in fp32, in the type that they had."""
    first, second = heads.float().chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (heads.float() * cosine + turned * sine).to(heads.dtype)


def log_scale(positions_RL: Tensor, trained: int) -> Tensor:
    """What a query is multiplied by, (R, 1, L, 1): the logarithm of its place, from 1, by the trained length's."""
    place = positions_RL[:, None, :, None].float() + 1
    return (place.log() / math.log(trained)).clamp(min=1)
