"""Embed images and texts for ViLT's transformer once each, patches in reading order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Dims: B pairs, P patches with the picture's own token in front, L tokens, H hidden; h, w patches down and across.


@dataclass(frozen=True)
class Patches:
    """Embedded pictures of a batch.

    Attributes:
        states_BPH: the picture's own token, then its patches in reading order, then padding; no modality embedding yet.
        mask_BP: 1 where something is, 0 for padding.
        places_BP: index of each patch in the batch's grid of `grid` (rows, columns) patches; -1 for the first token.
    """

    states_BPH: Tensor
    mask_BP: Tensor
    places_BP: Tensor
    grid: tuple[int, int]


def embed_pictures(model: Any, pixel_values: Tensor, pixel_mask: Tensor) -> Patches:
    """The patches of pictures, as `ViltModel` embeds them but in reading order, where transformers draws an order.

    Where the config sets `max_image_length`, pictures with more patches than that keep so many: drawn in training, as
    the paper does; evenly spread in evaluation, where the same picture must get the same score.

    Args:
        model: a `ViltModel`.
        pixel_values: (B, 3, height, width), padded below and to the right.
        pixel_mask: (B, height, width), 1 where the picture is.
    """
    embeddings = model.embeddings
    states_BHhw = embeddings.patch_embeddings(pixel_values)
    grid = (states_BHhw.shape[2], states_BHhw.shape[3])
    mask_Bhw = functional.interpolate(pixel_mask[:, None].float(), size=grid)[:, 0].long()
    sizes = [
        (int(rows), int(columns)) for rows, columns in zip(mask_Bhw.sum(1)[:, 0], mask_Bhw.sum(2)[:, 0], strict=True)
    ]
    states_BPH = (states_BHhw + _positions(embeddings, sizes, grid)).flatten(2).transpose(1, 2)
    places_BP, mask_BP = _choose(mask_Bhw.flatten(1), model.config.max_image_length, model.training)
    states_BPH = states_BPH.gather(1, places_BP.unsqueeze(2).expand(-1, -1, states_BPH.shape[2]))
    own = (embeddings.cls_token + embeddings.position_embeddings[:, :1]).expand(len(sizes), -1, -1)
    first = torch.ones_like(mask_BP[:, :1])
    states = embeddings.dropout(torch.cat([own, states_BPH], dim=1))
    return Patches(states, torch.cat([first, mask_BP], dim=1), torch.cat([-first, places_BP], dim=1), grid)


def _positions(embeddings: Any, sizes: list[tuple[int, int]], grid: tuple[int, int]) -> Tensor:
    """Position embeddings stretched over each picture's own patches: (B, H, h, w), or (1, H, h, w) for one size."""
    config = embeddings.config
    side = config.image_size // config.patch_size
    learned = embeddings.position_embeddings[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    stretched = {
        size: functional.pad(
            functional.interpolate(learned, size=size, mode="bilinear", align_corners=True),
            (0, grid[1] - size[1], 0, grid[0] - size[0]),
        )
        for size in set(sizes)
    }
    return stretched[sizes[0]] if len(stretched) == 1 else torch.cat([stretched[size] for size in sizes])


def _choose(mask_BP: Tensor, limit: int, is_training: bool) -> tuple[Tensor, Tensor]:
    """Places of the patches to keep, in reading order and the real ones first, and their mask."""
    counts = mask_BP.sum(dim=1)
    longest = int(counts.max())
    kept = min(longest, limit) if limit > 0 else longest
    # Real patches keep their order by index; padding sorts behind them.
    order = torch.arange(mask_BP.shape[1], device=mask_BP.device) + (1 - mask_BP) * mask_BP.shape[1]
    real_first = order.argsort(dim=1)
    if kept < longest:
        real_first = torch.stack(
            [_thin(row, int(count), kept, is_training) for row, count in zip(real_first, counts, strict=True)]
        )
    places = real_first[:, :kept]
    return places, mask_BP.gather(1, places)


def _thin(places: Tensor, count: int, kept: int, is_training: bool) -> Tensor:
    """`kept` of the first `count` places, in order; all of them where there are fewer."""
    if count <= kept:
        return places[:kept]
    if is_training:
        return places[torch.randperm(count, device=places.device)[:kept].sort().values]
    return places[torch.linspace(0, count - 1, kept, device=places.device).round().long()]


def embed_texts(model: Any, ids_BL: Tensor) -> Tensor:
    """Word embeddings with positions, normalised, with the modality embedding of texts: (B, L, H)."""
    embeddings = model.embeddings
    return embeddings.text_embeddings(input_ids=ids_BL) + embeddings.token_type_embeddings.weight[0]


def as_pictures(model: Any, patches_BPH: Tensor) -> Tensor:
    """The patches with the modality embedding of pictures."""
    return patches_BPH + model.embeddings.token_type_embeddings.weight[1]


def encode_pairs(model: Any, texts_BLH: Tensor, text_mask_BL: Tensor, patches_BPH: Tensor, mask_BP: Tensor) -> Tensor:
    """Last hidden states of texts and pictures joined, after the final normalisation: (B, L + P, H)."""
    hidden = torch.cat([texts_BLH, as_pictures(model, patches_BPH)], dim=1)
    return encode(model, hidden, torch.cat([text_mask_BL, mask_BP.to(text_mask_BL.dtype)], dim=1))


def encode(model: Any, hidden_BLH: Tensor, mask_BL: Tensor) -> Tensor:
    """Last hidden states of embedded tokens, after the final normalisation; 0 in the mask hides a token."""
    bias = None
    if not bool(mask_BL.all()):
        bias = (1 - mask_BL[:, None, None, :].to(hidden_BLH.dtype)) * torch.finfo(hidden_BLH.dtype).min
    for layer in model.encoder.layer:
        hidden_BLH = layer(hidden_BLH, bias)[0]
    normalised: Tensor = model.layernorm(hidden_BLH)
    return normalised
