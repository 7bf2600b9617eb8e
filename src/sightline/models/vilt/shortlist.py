"""A cheap shortlist: pictures and texts each alone through the transformer, compared by the cosine of their poolers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sightline.models.vilt.embedding import as_pictures, encode

# Dims: B rows, N pictures, M texts, L tokens, P patches with the picture's own token, H hidden.

# Differences of cosines are small; CLIP's initial temperature makes them count.
TEMPERATURE = 0.07


def texts_alone(model: Any, texts_BLH: Tensor, mask_BL: Tensor) -> Tensor:
    """Unit vectors (B, H) of texts that saw no picture, from the pooler of a `ViltModel`: no weight is added."""
    return functional.normalize(model.pooler(encode(model, texts_BLH, mask_BL)).float(), dim=-1)


def pictures_alone(model: Any, patches_BPH: Tensor, mask_BP: Tensor) -> Tensor:
    """Unit vectors (B, H) of pictures that saw no text, from the pooler at the picture's own token."""
    return functional.normalize(model.pooler(encode(model, as_pictures(model, patches_BPH), mask_BP)).float(), dim=-1)


def shortlist_loss(pictures_BH: Tensor, texts_BH: Tensor, same_BB: Tensor) -> Tensor:
    """Cross-entropy, in both directions, of finding each row's own partner among the batch.

    Args:
        same_BB: True where two rows show one picture: neither is wrong for the other.
    """
    scores = pictures_BH @ texts_BH.T / TEMPERATURE
    others = same_BB & ~torch.eye(len(same_BB), dtype=torch.bool, device=same_BB.device)
    scores = scores.masked_fill(others, torch.finfo(scores.dtype).min)
    own = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2
