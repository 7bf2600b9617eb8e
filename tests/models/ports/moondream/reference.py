"""moondream2 in slow formulas from the published tensors: the views of a picture and a row of text at a time."""

# Dims: N views, P patches, C channels of the tower, H hidden, L tokens.
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm

from tests.models.ports.moondream.published import SMALL, old_name, shapes_of_2025

Tensors = dict[str, Tensor]


def new_names(stored: Tensors) -> Tensors:
    """The tensors under the names of 2025 without their prefix."""
    names = shapes_of_2025(SMALL, prefix="")
    by_old = {old_name(name): name for name in names}
    return {by_old.get(name, name.removeprefix("model.")): tensor for name, tensor in stored.items()}


def linear(w: Tensors, name: str, x: Tensor) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w: Tensors, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    return layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def attend(q: Tensor, k: Tensor, v: Tensor, allowed_LL: Tensor) -> Tensor:
    scores = q @ k.T / math.sqrt(q.shape[-1])
    return scores.masked_fill(~allowed_LL, -math.inf).softmax(-1) @ v


def tower(w: Tensors, view: Tensor, patch: int, heads: int, exact_gelu: bool = False, eps: float = 1e-5) -> Tensor:
    """Features of one view (3, side, side): (P, C)."""
    act = "none" if exact_gelu else "tanh"
    rows = view.shape[1] // patch
    patches = [
        view[:, i * patch : (i + 1) * patch, j * patch : (j + 1) * patch].reshape(-1)
        for i in range(rows)
        for j in range(rows)
    ]
    x = linear(w, "vision.patch_emb", torch.stack(patches)) + w["vision.pos_emb"][0]
    layer = 0
    everything = torch.ones(len(x), len(x), dtype=torch.bool)
    while f"vision.blocks.{layer}.ln1.weight" in w:
        block = f"vision.blocks.{layer}"
        q, k, v = linear(w, f"{block}.attn.qkv", norm(w, f"{block}.ln1", x, eps)).chunk(3, dim=-1)
        parts = zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True)
        x = x + linear(w, f"{block}.attn.proj", torch.cat([attend(*part, everything) for part in parts], -1))
        inner = gelu(linear(w, f"{block}.mlp.fc1", norm(w, f"{block}.ln2", x, eps)), approximate=act)
        x = x + linear(w, f"{block}.mlp.fc2", inner)
        layer += 1
    return norm(w, "vision.post_ln", x, eps)


def project(w: Tensors, x: Tensor) -> Tensor:
    return linear(w, "vision.proj_mlp.fc2", gelu(linear(w, "vision.proj_mlp.fc1", x), approximate="tanh"))


def rotated(x: Tensor, positions: Tensor, dims: int) -> Tensor:
    """The first `dims` numbers turned by position, in halves; the others as they are."""
    frequency = 10000.0 ** (-torch.arange(0, dims, 2) / dims)
    angle = positions[:, None] * frequency
    first, second = x[:, : dims // 2], x[:, dims // 2 : dims]
    turned = (first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos())
    return torch.cat([*turned, x[:, dims:]], dim=-1)


def decoder(w: Tensors, x: Tensor, heads: int, prefix: int = 0) -> Tensor:
    """Hidden states of one row before the last norm, (L, H); the first `prefix` tokens see each other."""
    length = len(x)
    allowed = torch.ones(length, length).tril().bool()
    allowed[:prefix, :prefix] = True
    positions = torch.arange(length)
    layer = 0
    while f"text.blocks.{layer}.ln.weight" in w:
        block = f"text.blocks.{layer}"
        seen = norm(w, f"{block}.ln", x)
        q, k, v = linear(w, f"{block}.attn.qkv", seen).chunk(3, dim=-1)
        outs = []
        for a, b, c in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
            half = a.shape[-1] // 2
            outs.append(attend(rotated(a, positions, half), rotated(b, positions, half), c, allowed))
        attention = linear(w, f"{block}.attn.proj", torch.cat(outs, -1))
        inner = gelu(linear(w, f"{block}.mlp.fc1", seen), approximate="tanh")
        x = x + attention + linear(w, f"{block}.mlp.fc2", inner)
        layer += 1
    return x


def logits(w: Tensors, hidden: Tensor) -> Tensor:
    return linear(w, "text.lm_head", norm(w, "text.post_ln", hidden))


def embedded(w: Tensors, ids: list[int], image_id: int, features: Tensor) -> Tensor:
    """The row's embeddings with the features in place of the image's tokens, (L, H)."""
    rest = iter(features)
    return torch.stack([next(rest) if token == image_id else w["text.wte"][token] for token in ids])


def joined_2024(view_NPC: Tensor, tiles: tuple[int, int]) -> Tensor:
    """Tiles' maps side by side, resized bilinearly to one view's, behind the whole's channels."""
    whole, grid = view_NPC[0], round(len(view_NPC[0]) ** 0.5)
    if len(view_NPC) == 1:
        return torch.cat([whole, whole], -1)
    maps = view_NPC[1:].unflatten(1, (grid, grid))
    rows = [torch.cat(list(maps[i * tiles[1] : (i + 1) * tiles[1]]), 1) for i in range(tiles[0])]
    whole_map = torch.cat(rows, 0).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(whole_map, size=(grid, grid), mode="bilinear")
    return torch.cat([whole, small[0].permute(1, 2, 0).flatten(0, 1)], -1)


def joined_2025(view_NPC: Tensor, tiles: tuple[int, int], margin: int) -> Tensor:
    """Each crop's map written at its place without the margins inside, averaged to one view's size."""
    whole, grid = view_NPC[0], round(len(view_NPC[0]) ** 0.5)
    step = grid - 2 * margin
    canvas = torch.zeros(tiles[0] * step + 2 * margin, tiles[1] * step + 2 * margin, whole.shape[-1])
    for number, view in enumerate(view_NPC[1:]):
        i, j = divmod(number, tiles[1])
        for y in range(grid):
            for x in range(grid):
                is_cut = (
                    (i > 0 and y < margin)
                    or (j > 0 and x < margin)
                    or (i < tiles[0] - 1 and y >= grid - margin)
                    or (j < tiles[1] - 1 and x >= grid - margin)
                )
                if not is_cut:
                    canvas[i * step + y, j * step + x] = view[y * grid + x]
    small = torch.nn.functional.adaptive_avg_pool2d(canvas.permute(2, 0, 1)[None], (grid, grid))
    return torch.cat([whole, small[0].permute(1, 2, 0).flatten(0, 1)], -1)


def waves(table: Tensor, numbers: list[float]) -> Tensor:
    angle = 2 * math.pi * torch.tensor(numbers) @ table
    return torch.cat([angle.cos(), angle.sin()])


def regions(w: Tensors, x: Tensor, heads: int, prefix: int, stop: int, bins: int, sized: bool) -> list[Any]:
    """Centres and sizes of what is found, reading the whole row anew for each number."""
    found: list[Any] = []

    def hidden() -> Tensor:
        return decoder(w, x, heads, prefix)[-1]

    def decode(name: str, h: Tensor) -> Tensor:
        return linear(w, f"region.{name}.fc2", gelu(linear(w, f"region.{name}.fc1", h), approximate="tanh"))

    while int(logits(w, hidden()[None])[0].argmax()) != stop and len(found) < 50:
        place = []
        for _ in range(2):
            place.append(int(decode("coord_decoder", hidden()).argmax()) / bins)
            feature = waves(w["region.coord_features"], place[-1:])
            x = torch.cat([x, linear(w, "region.coord_encoder", feature)[None]])
        size = []
        if sized:
            for row in decode("size_decoder", hidden()).reshape(2, bins):
                size.append(2.0 ** (10 * int(row.argmax()) / (bins - 1) - 10))
            x = torch.cat([x, linear(w, "region.size_encoder", waves(w["region.size_features"], size))[None]])
        found.append((*place, *size))
    return found
