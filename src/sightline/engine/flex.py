"""FlexAttention for the mask route on CUDA: block masks made from reach, so that no dense mask is read."""

# Dims: R rows, L tokens.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

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
