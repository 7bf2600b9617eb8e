"""Attention masks made from reach: one rule for causality, packing, prefix sharing and padding."""

# Dims: R rows, L tokens.
from __future__ import annotations

import torch
from torch import Tensor


def dense_mask(reach_RL: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive attention mask, 0 where a token may look and the dtype's minimum elsewhere, (R, 1, L, L).

    Token `q` may look at token `k` exactly when `k <= q < reach[k]`. The mask must have the model's dtype: a boolean
    one is added, not applied, by eager attention, and another float dtype is wrong in sdpa on CPU (transformers 5.23).
    """
    allowed_RLL = visible(reach_RL)
    mask_RLL = torch.zeros(allowed_RLL.shape, dtype=dtype, device=reach_RL.device)
    return mask_RLL.masked_fill_(~allowed_RLL, torch.finfo(dtype).min).unsqueeze(1)


def visible(reach_RL: Tensor) -> Tensor:
    """Whether query token (second axis) may look at key token (last axis), (R, L, L), boolean."""
    index_L = torch.arange(reach_RL.shape[-1], device=reach_RL.device)
    causal_LL = index_L[None, :] <= index_L[:, None]
    return causal_LL & (index_L[None, :, None] < reach_RL[:, None, :])
