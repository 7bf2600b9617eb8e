"""A layer of Qwen-VL's decoder: Qwen2's arithmetic with one projection for queries, keys and values."""

# Dims: R rows, L tokens of a row, H hidden.
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm, eager_attention_forward

from sightline.models.ports.qwen_vl.config import QwenVLConfig
from sightline.models.ports.qwen_vl.positions import rotated


@dataclass(frozen=True)
class Places:
    """Where tokens stand: cosine and sine of their angles, (R, 1, L, D), and the scale of queries, (R, 1, L, 1), None
    in training."""

    cosine: Tensor
    sine: Tensor
    scale: Tensor | None


class QwenVLAttention(nn.Module):
    """Attention among tokens; the rows of `c_attn` are all queries, then all keys, then all values."""

    def __init__(self, config: QwenVLConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer
        self.head_dim = config.kv_channels
        self.num_key_value_groups = 1
        self.scaling = self.head_dim**-0.5
        self.is_causal = True
        self.c_attn = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.c_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, hidden_RLH: Tensor, places: Places, attention_mask: Any, cache: Any) -> tuple[Tensor, Any]:
        by_head = self.c_attn(hidden_RLH).unflatten(-1, (3, -1, self.head_dim))
        query, key, value = by_head.permute(2, 0, 3, 1, 4)
        query, key = rotated(query, places.cosine, places.sine), rotated(key, places.cosine, places.sine)
        if places.scale is not None:
            query = query * places.scale.to(query.dtype)
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        mixed, weights = attend(self, query, key, value, attention_mask, dropout=0.0, scaling=self.scaling)
        return self.c_proj(mixed.flatten(2)), weights


class QwenVLMLP(nn.Module):
    """`w1` is what others call up_proj, `w2` their gate_proj."""

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__()
        inner = config.intermediate_size // 2
        self.w1 = nn.Linear(config.hidden_size, inner, bias=False)
        self.w2 = nn.Linear(config.hidden_size, inner, bias=False)
        self.c_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, hidden_RLH: Tensor) -> Tensor:
        out_RLH: Tensor = self.c_proj(self.w1(hidden_RLH) * functional.silu(self.w2(hidden_RLH)))
        return out_RLH


class QwenVLBlock(GradientCheckpointingLayer):
    """A layer of the decoder."""

    def __init__(self, config: QwenVLConfig, layer: int) -> None:
        super().__init__()
        self.ln_1 = Qwen2RMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.attn = QwenVLAttention(config, layer)
        self.ln_2 = Qwen2RMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.mlp = QwenVLMLP(config)

    def forward(
        self, hidden_RLH: Tensor, places: Places, attention_mask: Any = None, past_key_values: Any = None
    ) -> Tensor:
        attended_RLH, _ = self.attn(self.ln_1(hidden_RLH), places, attention_mask, past_key_values)
        hidden_RLH = hidden_RLH + attended_RLH
        return hidden_RLH + self.mlp(self.ln_2(hidden_RLH))
