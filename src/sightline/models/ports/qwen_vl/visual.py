"""Qwen-VL's eyes: OpenCLIP's ViT-bigG without its last norm, and a resampler that makes 256 features of an image."""

# Dims: B images, P patches, Q queries, W width of the tower, H hidden of the decoder, S entries of a stored table.
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_layers import GradientCheckpointingLayer

from sightline.models.ports.qwen_vl.config import HEAD_OF_RESAMPLER, QwenVLConfig

NORM_EPS = 1e-6
POSITIONS = 256  # of the tower's table, 16 x 16, whatever the image's size
SINE_BASE = 10000


class QwenVLVisual(nn.Module):
    """Features of images, (B, Q, H), from pixels (B, 3, size, size)."""

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__()
        visual: dict[str, Any] = config.visual or {}
        width, output = visual["width"], visual["output_dim"]
        self.conv1 = nn.Conv2d(3, width, visual["patch_size"], visual["patch_size"], bias=False)
        self.positional_embedding = nn.Parameter(torch.empty(POSITIONS, width))
        self.ln_pre = nn.LayerNorm(width, eps=NORM_EPS)
        self.transformer = _Tower(visual)
        self.attn_pool = QwenVLResampler(config.image_features, output, width)
        self.ln_post = nn.LayerNorm(output, eps=NORM_EPS)
        self.proj = nn.Parameter(torch.empty(output, output))

    def forward(self, pixels: Tensor) -> Tensor:
        patches_BPW = self.conv1(pixels.to(self.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        patches_BPW = patches_BPW + stretched(self.positional_embedding, patches_BPW.shape[1])
        seen_BPW = self.transformer(self.ln_pre(patches_BPW))
        features_BQH: Tensor = self.ln_post(self.attn_pool(seen_BPW)) @ self.proj
        return features_BQH


class _Tower(nn.Module):
    """The blocks of the ViT, one after another."""

    def __init__(self, visual: dict[str, Any]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(QwenVLVisualBlock(visual) for _ in range(visual["layers"]))

    def forward(self, hidden_BPW: Tensor) -> Tensor:
        for block in self.resblocks:
            hidden_BPW = block(hidden_BPW)
        return hidden_BPW


class QwenVLVisualBlock(GradientCheckpointingLayer):
    """A block of the ViT: norms in front, exact GELU."""

    def __init__(self, visual: dict[str, Any]) -> None:
        super().__init__()
        width = visual["width"]
        self.ln_1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = _VisualAttention(width, visual["heads"])
        self.ln_2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = _VisualMLP(width, int(width * visual["mlp_ratio"]))

    def forward(self, hidden_BPW: Tensor) -> Tensor:
        hidden_BPW = hidden_BPW + self.attn(self.ln_1(hidden_BPW))
        return hidden_BPW + self.mlp(self.ln_2(hidden_BPW))


class _VisualAttention(nn.Module):
    """Attention among patches; the rows of `in_proj` are query, key and value of the first head, then of the next."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, hidden_BPW: Tensor) -> Tensor:
        by_head = self.in_proj(hidden_BPW).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        query, key, value = by_head.chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out_BPW: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out_BPW


class _VisualMLP(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, inner)
        self.c_proj = nn.Linear(inner, width)

    def forward(self, hidden_BPW: Tensor) -> Tensor:
        out_BPW: Tensor = self.c_proj(functional.gelu(self.c_fc(hidden_BPW)))
        return out_BPW


class QwenVLResampler(nn.Module):
    """One attention of learnt queries to all patches, (B, P, W) to (B, Q, H), with fixed positions on both sides."""

    def __init__(self, queries: int, hidden: int, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(queries, hidden))
        self.pos_embed = nn.Buffer(torch.empty(queries, hidden))  # stored, and never trained
        self.kv_proj = nn.Linear(width, hidden, bias=False) if width != hidden else nn.Identity()
        heads = max(1, hidden // HEAD_OF_RESAMPLER)
        self.attn = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.ln_q = nn.LayerNorm(hidden, eps=NORM_EPS)
        self.ln_kv = nn.LayerNorm(hidden, eps=NORM_EPS)

    def forward(self, seen_BPW: Tensor) -> Tensor:
        value_BPH = self.ln_kv(self.kv_proj(seen_BPW))
        key_BPH = value_BPH + stretched(self.pos_embed, seen_BPW.shape[1])
        query_QH = self.ln_q(self.query) + self.pos_embed
        query_BQH = query_QH.expand(len(seen_BPW), -1, -1)
        out_BQH: Tensor = self.attn(query_BQH, key_BPH, value_BPH, need_weights=False)[0]
        return out_BQH


def stretched(table_SW: Tensor, patches: int) -> Tensor:
    """A square table of positions for another number of patches, (P, W): bicubic, in fp32."""
    old, new = math.isqrt(len(table_SW)), math.isqrt(patches)
    if old == new:
        return table_SW
    square = table_SW.float().unflatten(0, (old, old)).permute(2, 0, 1)[None]
    larger = functional.interpolate(square, size=(new, new), mode="bicubic", align_corners=False)
    return larger[0].flatten(1).T.to(table_SW.dtype)


def sine_table(entries: int, width: int) -> Tensor:
    """Positions of a square, (S, W): the first half from the column, the second from the row, each sines, then
    cosines."""
    side = math.isqrt(entries)
    rate = 1 / SINE_BASE ** (torch.arange(width // 4, dtype=torch.float32) / (width / 4))
    place = torch.arange(side, dtype=torch.float32)[:, None] * rate
    waves = torch.cat([place.sin(), place.cos()], dim=1)
    columns, rows = waves[None].expand(side, -1, -1), waves[:, None].expand(-1, side, -1)
    return torch.cat([columns, rows], dim=2).flatten(0, 1)
