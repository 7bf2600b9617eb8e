"""Make attention masks from reach, dense or as FlexAttention's blocks: one rule for all sharing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from sightline.engine.forest import Forest

# Dims: R rows, L tokens, Q new tokens, K tokens kept.


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


# Dims: R rows, L tokens.


FLEX_ATTENTION = "flex_attention"  # transformers' name

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def can_flex(model: Any) -> bool:
    """Whether FlexAttention is worth a trial: on CUDA, since it has no backward pass on CPU (torch 2.13), where the
    decoder supports it and would read dense masks in sdpa."""
    decoder = model.get_decoder()
    on_cuda = model.get_input_embeddings().weight.device.type == "cuda"
    return on_cuda and decoder._supports_flex_attn and decoder.config._attn_implementation == "sdpa"


def block_mask(
    reach_RL: Tensor, depth_RL: Tensor, window: int | None = None, block_RL: Tensor | None = None
) -> BlockMask:
    """What FlexAttention takes in place of `masks.dense_mask` of the same arguments."""
    rows, length = reach_RL.shape
    rule = mask_rule(reach_RL, depth_RL, window, block_RL)
    # Without compiling, all R x L x L pairs would lie in memory for a moment.
    compiled = reach_RL.device.type == "cuda"
    return create_block_mask(rule, rows, None, length, length, device=str(reach_RL.device), _compile=compiled)


def mask_rule(reach_RL: Tensor, depth_RL: Tensor, window: int | None = None, block_RL: Tensor | None = None) -> Rule:
    """Whether in `row` the token `query` may look at the token `key`; the rule of `masks.dense_mask`, pair by pair."""

    def may_look(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        allowed = (key <= query) & (query < reach_RL[row, key])
        if window is not None:
            allowed = allowed & (depth_RL[row, query] - depth_RL[row, key] < window)
        if block_RL is not None:
            own = block_RL[row, query]
            allowed = allowed | ((own == block_RL[row, key]) & (own >= 0))
        return allowed

    return may_look
