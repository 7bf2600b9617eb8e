"""The one state that a head reads, for inference: in the last layer only the first token is computed."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

# Dims: B pairs, L tokens, Q tokens that ask, H hidden.


def pool(model: Any, hidden_BLH: Tensor) -> Tensor:
    """What `ViltModel` gives as `pooler_output` in evaluation for embedded tokens, none of them padding: (B, H).

    The pooler reads the first token. So the last layer needs keys and values of all tokens, but the query, the output
    and the feed-forward part of the first alone: with 12 layers a 14th of all work is left out.
    """
    layers = list(model.encoder.layer)
    for layer in layers[:-1]:
        hidden_BLH = _run(layer, hidden_BLH, hidden_BLH.shape[1])
    pooled: Tensor = model.pooler(model.layernorm(_run(layers[-1], hidden_BLH, 1)))
    return pooled


def _run(layer: Any, hidden_BLH: Tensor, asking: int) -> Tensor:
    """One layer for the first `asking` tokens, which look at all, (B, Q, H); as `ViltLayer`, with fused attention."""
    parts = layer.attention.attention
    normalised = layer.layernorm_before(hidden_BLH)
    heads = parts.num_attention_heads
    query = parts.query(normalised[:, :asking]).unflatten(2, (heads, -1)).transpose(1, 2)
    key = parts.key(normalised).unflatten(2, (heads, -1)).transpose(1, 2)
    value = parts.value(normalised).unflatten(2, (heads, -1)).transpose(1, 2)
    seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    middle = hidden_BLH[:, :asking] + layer.attention.output.dense(seen)
    out: Tensor = middle + layer.output.dense(layer.intermediate(layer.layernorm_after(middle)))
    return out
