"""CogVLM's eye: EVA2-CLIP-E, whose layers norm behind each branch, and the projector between begin and end vectors."""

# Dims: N images, P patches, S patches and class token, V width of the tower, H hidden, K heads.
from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.siglip.modeling_siglip import eager_attention_forward

from sightline.errors import InputError
from sightline.models.ports.cogvlm.config import CogVLMConfig, CogVLMVisionConfig


class CogVLMPatchEmbedding(nn.Module):
    """Patches behind a class token, with learned positions."""

    def __init__(self, config: CogVLMVisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.side = config.image_size
        self.proj = nn.Conv2d(config.in_channels, width, kernel_size=patch, stride=patch)
        self.cls_embedding = nn.Parameter(torch.zeros(1, width))
        self.position_embedding = nn.Embedding(config.num_positions, width)

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.shape[-2:] != (self.side, self.side):  # positions are learned for one size, and never interpolated
            height, width = pixels.shape[-2:]
            raise InputError(
                f"The processor gives images of {width} x {height} pixels, but this CogVLM reads those of "
                f"{self.side} x {self.side}. Leave its size as it is."
            )
        patches_NPV = self.proj(pixels.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)
        cls_N1V = self.cls_embedding.expand(len(pixels), 1, -1)
        return torch.cat([cls_N1V, patches_NPV], dim=1) + self.position_embedding.weight


class CogVLMVisionAttention(nn.Module):
    """Attention of all tokens to all; the rows of the joint projection are queries, keys and values."""

    def __init__(self, config: CogVLMVisionConfig) -> None:
        super().__init__()
        self.config = config
        self.heads = config.num_heads
        self.scaling = (config.hidden_size // config.num_heads) ** -0.5
        self.is_causal = False
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_NSV: Tensor) -> Tensor:
        joint = self.query_key_value(hidden_NSV).unflatten(-1, (3, self.heads, -1))
        query, key, value = joint.permute(2, 0, 3, 1, 4)  # each (N, K, S, V / K)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        mixed, _ = attend(self, query, key, value, None, is_causal=False, scaling=self.scaling, dropout=0.0)
        return self.dense(mixed.flatten(2))


class CogVLMVisionMLP(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, config: CogVLMVisionConfig) -> None:
        super().__init__()
        self.activation = ACT2FN[config.hidden_act]
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_NSV: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(hidden_NSV)))


class CogVLMVisionLayer(GradientCheckpointingLayer):
    """A layer that norms what its branches give, whatever the published names of the norms say."""

    def __init__(self, config: CogVLMVisionConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = CogVLMVisionAttention(config)
        self.mlp = CogVLMVisionMLP(config)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_NSV: Tensor) -> Tensor:
        hidden_NSV = hidden_NSV + self.input_layernorm(self.attention(hidden_NSV))
        return hidden_NSV + self.post_attention_layernorm(self.mlp(hidden_NSV))


class CogVLMVisionEncoder(PreTrainedModel):
    """The layers, one after another; a model of transformers, which chooses the attention of its config."""

    config: CogVLMVisionConfig
    config_class = CogVLMVisionConfig
    main_input_name = "hidden_NSV"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["CogVLMVisionLayer"]
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: CogVLMVisionConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList([CogVLMVisionLayer(config) for _ in range(config.num_hidden_layers)])
        self.gradient_checkpointing = False
        self.post_init()

    def forward(self, hidden_NSV: Tensor) -> Tensor:
        for layer in self.layers:
            hidden_NSV = layer(hidden_NSV)
        return hidden_NSV


class CogVLMProjector(nn.Module):
    """From the tower's width to the decoder's, through a gated layer as wide as the decoder's own."""

    def __init__(self, config: CogVLMConfig, width: int) -> None:
        super().__init__()
        hidden, inner = config.hidden_size, config.intermediate_size
        self.linear_proj = nn.Linear(width, hidden, bias=False)
        self.norm1 = nn.LayerNorm(hidden)
        self.act1 = nn.GELU()
        self.act2 = nn.SiLU()
        self.dense_h_to_4h = nn.Linear(hidden, inner, bias=False)
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.dense_4h_to_h = nn.Linear(inner, hidden, bias=False)

    def forward(self, patches_NPV: Tensor) -> Tensor:
        hidden_NPH = self.act1(self.norm1(self.linear_proj(patches_NPV)))
        return self.dense_4h_to_h(self.act2(self.gate_proj(hidden_NPH)) * self.dense_h_to_4h(hidden_NPH))


class CogVLMVision(nn.Module):
    """Tower and projector: what the decoder receives of an image."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__()
        vision = config.vision_config
        assert isinstance(vision, CogVLMVisionConfig), "the config makes one of what it is given"
        self.patch_embedding = CogVLMPatchEmbedding(vision)
        self.transformer = CogVLMVisionEncoder(vision)
        self.linear_proj = CogVLMProjector(config, vision.hidden_size)
        self.boi = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.eoi = nn.Parameter(torch.zeros(1, 1, config.hidden_size))

    def forward(self, pixels: Tensor) -> BaseModelOutputWithPooling:
        """`pooler_output`, (N, P + 2, H): the patches between begin and end; `last_hidden_state`, (N, S, V)."""
        tower_NSV = self.transformer(self.patch_embedding(pixels))
        patches_NPH = self.linear_proj(tower_NSV[:, 1:])
        begin, end = (vector.expand(len(pixels), 1, -1) for vector in (self.boi, self.eoi))
        return BaseModelOutputWithPooling(
            last_hidden_state=tower_NSV, pooler_output=torch.cat([begin, patches_NPH, end], dim=1)
        )
