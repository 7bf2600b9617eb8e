"""CogVLM's decoder layers: Llama's, with two experts for all that has weights but the norms."""

# Dims: R rows, L tokens of a row, K tokens kept and new, H hidden, N heads, D size of a head.
from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from transformers.models.siglip.modeling_siglip import eager_attention_forward

from sightline.models.ports.cogvlm.config import CogVLMConfig
from sightline.models.ports.cogvlm.experts import Runs, by_expert


class CogVLMRMSNorm(nn.Module):
    """Root mean square norm that multiplies in fp32 and rounds once; Llama's rounds before it multiplies."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, hidden_RLH: Tensor) -> Tensor:
        wide = hidden_RLH.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.weight * normed).to(hidden_RLH.dtype)


class CogVLMRotary(nn.Module):
    """Rotary angles from frequencies that each layer's weights hold, rounded to bfloat16 by the authors."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        self.config = config
        self.inv_freq = nn.Buffer(exact_frequencies(config))

    @torch.no_grad()
    def forward(self, positions_RL: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each (R, L, D), of angles in fp32."""
        inv_freq = exact_frequencies(self.config, positions_RL.device) if self.config.exact_rotary else self.inv_freq
        angles = positions_RL[..., None].float() * inv_freq.float()
        twice = torch.cat([angles, angles], dim=-1)
        return twice.cos().to(dtype), twice.sin().to(dtype)


def exact_frequencies(config: CogVLMConfig, device: torch.device | None = None) -> Tensor:
    """Inverse frequencies of rotary positions, (D / 2), in fp32."""
    size = config.head_dim
    exponents = torch.arange(0, size, 2, dtype=torch.float, device=device) / size
    return 1.0 / config.rope_theta**exponents


class CogVLMAttention(nn.Module):
    """One attention over all tokens; each token's query, key, value and output come from its own expert."""

    def __init__(self, config: CogVLMConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.scaling = config.head_dim**-0.5
        self.is_causal = True
        hidden = config.hidden_size
        self.rotary_emb = CogVLMRotary(config)
        self.vision_expert_query_key_value = nn.Linear(hidden, 3 * hidden, bias=False)
        self.vision_expert_dense = nn.Linear(hidden, hidden, bias=False)
        self.language_expert_query_key_value = nn.Linear(hidden, 3 * hidden, bias=False)
        self.language_expert_dense = nn.Linear(hidden, hidden, bias=False)

    def forward(
        self, hidden_RLH: Tensor, mask: Tensor | None, positions_RL: Tensor, cache: Cache | None, runs: Runs
    ) -> tuple[Tensor, Tensor | None]:
        joint = by_expert(self.vision_expert_query_key_value, self.language_expert_query_key_value, hidden_RLH, runs)
        joint = joint.unflatten(-1, (3, self.config.num_attention_heads, self.config.head_dim))
        query, key, value = joint.permute(2, 0, 3, 1, 4)  # each (R, N, L, D)
        cos, sin = self.rotary_emb(positions_RL, query.dtype)
        query, key = apply_rotary_pos_emb(query, key, cos, sin)
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        mixed, weights = attend(self, query, key, value, mask, scaling=self.scaling, dropout=0.0)
        mixed_RLH = mixed.flatten(2)
        return by_expert(self.vision_expert_dense, self.language_expert_dense, mixed_RLH, runs), weights


class CogVLMExpertMLP(nn.Module):
    """A gated layer, as Llama's."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        hidden, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down_proj(self.activation(self.gate_proj(hidden)) * self.up_proj(hidden))


class CogVLMMLP(nn.Module):
    """One gated layer for each expert."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        self.language_mlp = CogVLMExpertMLP(config)
        self.vision_mlp = CogVLMExpertMLP(config)

    def forward(self, hidden_RLH: Tensor, runs: Runs) -> Tensor:
        return by_expert(self.vision_mlp, self.language_mlp, hidden_RLH, runs)


class CogVLMDecoderLayer(GradientCheckpointingLayer):
    """Attention and MLP behind norms that both experts share."""

    def __init__(self, config: CogVLMConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = CogVLMAttention(config, layer)
        self.mlp = CogVLMMLP(config)
        self.input_layernorm = CogVLMRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = CogVLMRMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        hidden_RLH: Tensor,
        mask: Tensor | None,
        positions_RL: Tensor,
        runs: Runs,
        past_key_values: Cache | None = None,  # by this name gradient checkpointing takes it away (transformers 5.23)
    ) -> Tensor:
        mixed_RLH, _weights = self.self_attn(
            self.input_layernorm(hidden_RLH), mask, positions_RL, past_key_values, runs
        )
        hidden_RLH = hidden_RLH + mixed_RLH
        return hidden_RLH + self.mlp(self.post_attention_layernorm(hidden_RLH), runs)
