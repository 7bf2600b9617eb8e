"""Attention masks made from reach: one rule for causality, packing, prefix sharing and padding."""

# Dims: R rows, L tokens, Q new tokens, K tokens kept.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from sightline.engine.flex import FLEX_ATTENTION, block_mask
from sightline.engine.forest import Forest


def forest_masks(forest: Forest, text_config: Any, both_ways: bool, dtype: torch.dtype) -> Any:
    """What the model takes as `attention_mask` for a forest: an additive mask, (R, 1, L, L), for FlexAttention a block
    mask, or where layers of a model differ in their window a dict of such masks by layer type.

    With `both_ways` tokens of a block look at each other.
    """
    block_RL = forest.block_RL if both_ways else None
    reach_RL, depth_RL = forest.reach_RL, forest.depth_RL

    def mask_of(window: int | None) -> Tensor | BlockMask:
        if text_config._attn_implementation == FLEX_ATTENTION:
            return block_mask(reach_RL, depth_RL, window, block_RL)
        return dense_mask(reach_RL, dtype, depth_RL, window, block_RL)

    return _by_layer_type(text_config, mask_of)


def step_masks(allowed_RQK: Tensor, depth_RQ: Tensor, depth_RK: Tensor, text_config: Any, dtype: torch.dtype) -> Any:
    """What the model takes as `attention_mask` for Q new tokens after K kept ones (themselves included): as
    `forest_masks`, from what each may look at and from the depths that windows are cut by."""

    def mask_of(window: int | None) -> Tensor:
        near_RQK = depth_RQ[:, :, None] - depth_RK[:, None, :] < window if window is not None else True
        return _additive(allowed_RQK & near_RQK, dtype)

    return _by_layer_type(text_config, mask_of)


def dense_mask(
    reach_RL: Tensor,
    dtype: torch.dtype,
    depth_RL: Tensor | None = None,
    window: int | None = None,
    block_RL: Tensor | None = None,
) -> Tensor:
    """Additive attention mask, 0 where a token may look and the dtype's minimum elsewhere, (R, 1, L, L).

    Token `q` may look at token `k` exactly when `k <= q < reach[k]`; with `window` only at the latest `window` depths,
    not indices, since siblings stand between a branch and its trunk; tokens of one `block` look at each other anyway.

    The mask must have the model's dtype: a boolean one is added, not applied, by eager attention, and another float
    dtype is wrong in sdpa on CPU (transformers 5.23).
    """
    allowed_RLL = visible(reach_RL)
    if window is not None:
        assert depth_RL is not None
        allowed_RLL = allowed_RLL & (depth_RL[:, :, None] - depth_RL[:, None, :] < window)
    if block_RL is not None:
        allowed_RLL = allowed_RLL | ((block_RL[:, :, None] == block_RL[:, None, :]) & (block_RL >= 0)[:, :, None])
    return _additive(allowed_RLL, dtype)


def visible(reach_RL: Tensor) -> Tensor:
    """Whether query token (second axis) may look at key token (last axis), (R, L, L), boolean."""
    index_L = torch.arange(reach_RL.shape[-1], device=reach_RL.device)
    causal_LL = index_L[None, :] <= index_L[:, None]
    return causal_LL & (index_L[None, :, None] < reach_RL[:, None, :])


def _by_layer_type(text_config: Any, mask_of: Callable[[int | None], Tensor | BlockMask]) -> Any:
    """The mask of each layer type's window, or the only mask where all layers are alike."""
    window = getattr(text_config, "sliding_window", None)
    kinds = set(getattr(text_config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    masks = {kind: mask_of(window if kind == "sliding_attention" else None) for kind in kinds}
    return masks if len(masks) > 1 else next(iter(masks.values()))


def _additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where allowed and the dtype's minimum elsewhere, with an axis for the heads."""
    mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min).unsqueeze(1)
