"""Encode each distinct image once and put its features behind the placeholders of a forest."""

# Dims: F feature rows of all distinct images, P placeholders, H hidden (times 1 + deepstack layers in the table),
# S rows of an image input.
from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sightline.errors import DataError
from sightline.types import FamilyFacts


def encode_images(model: Any, facts: FamilyFacts, image_inputs: dict[str, Any]) -> Tensor:
    """Features of all distinct images, one image after another, as the decoder receives them, (F, H).

    Where features also enter deeper layers, those stand behind the first ones in the same row.
    """
    inputs = {name: image_inputs[name] for name in facts.image_inputs if name in image_inputs}
    output = model.get_image_features(**inputs, return_dict=True)
    first_FH = _table(output.pooler_output)
    return torch.cat([first_FH, *map(_table, output.deepstack_features)], dim=1) if facts.deepstack else first_FH


def placed(facts: FamilyFacts, features_FH: Tensor, feature_P: Tensor, hidden_size: int) -> dict[str, Any]:
    """The model's keyword arguments that put feature rows `feature_P` behind the placeholders, in reading order."""
    in_order = torch.arange(len(features_FH), device=feature_P.device)
    features_PH = features_FH if torch.equal(feature_P, in_order) else features_FH[feature_P]
    first, *deeper = features_PH.split(hidden_size, dim=1)
    output = BaseModelOutputWithPooling(pooler_output=[first] if facts.features_listed else first)
    if facts.deepstack:
        output.deepstack_features = [[layer] for layer in deeper]
    return {"mm_encoder_outputs": {"image": output}}


def pick_images(value: Tensor, order: Tensor, counts: Many[int], patches_S: Tensor | None = None) -> Tensor:
    """An image input of the images `order`, from that of all distinct images, which have `counts` placeholders each.

    The first axis holds one row per image, or rows (patches, tiles) in proportion to the image's placeholders; where
    tiles differ in size, `patches_S` are the patches of each.
    """
    if not counts or len(value) == len(counts):
        return value[order.to(value.device)]
    size_S = torch.ones(len(value), dtype=torch.long) if patches_S is None else patches_S.cpu()
    placeholders = torch.tensor(counts)
    share_S, shares = size_S.cumsum(0) * placeholders.sum(), placeholders.cumsum(0) * size_S.sum()
    ends = torch.searchsorted(share_S, shares, right=True)
    if not torch.equal(share_S[ends - 1], shares):
        raise DataError(
            f"Expected an image input whose rows divide among the images as their placeholders do, but got "
            f"{len(value)} rows for {list(counts)} placeholders. Use images of one size, or batches of one row."
        )
    parts = value.tensor_split(ends[:-1].tolist())
    return torch.cat([parts[image] for image in order.tolist()])


def _table(features: Any) -> Tensor:
    table = features if isinstance(features, Tensor) else torch.cat(list(features))
    return table.reshape(-1, table.shape[-1])
