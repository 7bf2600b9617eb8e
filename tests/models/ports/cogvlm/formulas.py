"""CogVLM token by token, from its paper and published code, on the tensors of a folder; slow and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, gelu, layer_norm, linear, silu


def image_vectors(tensors: Mapping[str, Tensor], settings: Mapping[str, Any], pixels: Tensor) -> Tensor:
    """What stands in the place of one image's tokens: begin, patches, end; `pixels` (3, side, side)."""
    vision = settings["vision_config"]
    eps, heads = vision["layer_norm_eps"], vision["num_heads"]
    own = _under(tensors, "model.vision.")
    patches = conv2d(
        pixels[None], own["patch_embedding.proj.weight"], own["patch_embedding.proj.bias"], stride=vision["patch_size"]
    )[0]
    rows = [own["patch_embedding.cls_embedding"][0], *patches.flatten(1).T]
    x = torch.stack(rows) + own["patch_embedding.position_embedding.weight"]
    for number in range(vision["num_hidden_layers"]):
        layer = _under(own, f"transformer.layers.{number}.")
        joint = _linear(layer, "attention.query_key_value", x).reshape(len(x), 3, heads, -1)
        query, key, value = joint[:, 0], joint[:, 1], joint[:, 2]
        mixed = torch.stack([_attend(query[:, h], key[:, h], value[:, h], causal=False) for h in range(heads)], dim=1)
        branch = _linear(layer, "attention.dense", mixed.flatten(1))
        x = x + _norm(layer, "input_layernorm", branch, eps)
        branch = _linear(layer, "mlp.fc2", gelu(_linear(layer, "mlp.fc1", x)))
        x = x + _norm(layer, "post_attention_layernorm", branch, eps)
    glu = _under(own, "linear_proj.")
    x = gelu(_norm(glu, "norm1", linear(x[1:], glu["linear_proj.weight"]), 1e-5))
    x = silu(linear(x, glu["gate_proj.weight"])) * linear(x, glu["dense_h_to_4h.weight"])
    return torch.cat([own["boi"][0], linear(x, glu["dense_4h_to_h.weight"]), own["eoi"][0]])


def logits(
    tensors: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    ids: list[int],
    pixels: Tensor | None,
    exact: bool = False,
) -> Tensor:
    """Logits of [start, image, words] or of words alone; `ids` are start and words. `exact` computes frequencies."""
    words = [tensors["model.embed_tokens.weight"][number] for number in ids]
    image = [] if pixels is None else list(image_vectors(tensors, settings, pixels))
    x = torch.stack([words[0], *image, *words[1:]])
    patches = len(image) - 2
    positions = [0, *([1, *[2] * patches, 3] if image else [])]
    positions += [positions[-1] + 1 + number for number in range(len(words) - 1)]
    seen = [False, *[True] * (patches + 1), *[False] * len(words)][: len(x)] if image else [False] * len(x)
    heads, eps = settings["num_attention_heads"], settings["rms_norm_eps"]
    for number in range(settings["num_hidden_layers"]):
        layer = _under(tensors, f"model.layers.{number}.")
        size = x.shape[1] // heads
        inv_freq = layer["self_attn.rotary_emb.inv_freq"].float()
        if exact:
            inv_freq = torch.tensor([10000 ** (-2 * pair / size) for pair in range(size // 2)])
        normed = _rms(layer["input_layernorm.weight"], x, eps)
        joint = _expert(layer, "self_attn.{}_expert_query_key_value", normed, seen).reshape(len(x), 3, heads, size)
        query, key, value = (
            _turned(joint[:, 0], positions, inv_freq),
            _turned(joint[:, 1], positions, inv_freq),
            joint[:, 2],
        )
        mixed = torch.stack([_attend(query[:, h], key[:, h], value[:, h], causal=True) for h in range(heads)], dim=1)
        x = x + _expert(layer, "self_attn.{}_expert_dense", mixed.flatten(1), seen)
        normed = _rms(layer["post_attention_layernorm.weight"], x, eps)
        gate, up = (_expert(layer, f"mlp.{{}}_mlp.{name}", normed, seen) for name in ("gate_proj", "up_proj"))
        x = x + _expert(layer, "mlp.{}_mlp.down_proj", silu(gate) * up, seen)
    return linear(_rms(tensors["model.norm.weight"], x, eps), tensors["lm_head.weight"])


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _linear(tensors: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _norm(tensors: Mapping[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    return layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)


def _rms(weight: Tensor, x: Tensor, eps: float) -> Tensor:
    return weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def _expert(layer: Mapping[str, Tensor], name: str, x: Tensor, seen: list[bool]) -> Tensor:
    kinds = ["vision" if one else "language" for one in seen]
    return torch.stack([linear(row, layer[f"{name.format(kind)}.weight"]) for row, kind in zip(x, kinds, strict=True)])


def _turned(x: Tensor, positions: list[int], inv_freq: Tensor) -> Tensor:
    """Each pair (i, i + half) of a head turned by position times frequency."""
    half = x.shape[-1] // 2
    turned = torch.empty_like(x)
    for token, position in enumerate(positions):
        cos, sin = (position * inv_freq).cos(), (position * inv_freq).sin()
        first, second = x[token, :, :half], x[token, :, half:]
        turned[token] = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned


def _attend(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    scores = query @ key.T / math.sqrt(query.shape[-1])
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
    return scores.softmax(-1) @ value
