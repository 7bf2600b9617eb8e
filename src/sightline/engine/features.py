"""Encode each distinct image once and put its features behind the placeholders of a forest."""

# Dims: F feature rows of all distinct images, P placeholders, H hidden.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sightline.types import FamilyFacts


def encode_images(model: Any, facts: FamilyFacts, image_inputs: dict[str, Any]) -> Tensor:
    """Features of all distinct images, one image after another, as the decoder receives them, (F, H)."""
    inputs = {name: image_inputs[name] for name in facts.image_inputs if name in image_inputs}
    output = model.get_image_features(**inputs, return_dict=True).pooler_output
    table = output if isinstance(output, Tensor) else torch.cat(list(output))
    return table.reshape(-1, table.shape[-1])


def placed(facts: FamilyFacts, features_FH: Tensor, feature_P: Tensor) -> dict[str, Any]:
    """The model's keyword arguments that put feature rows `feature_P` behind the placeholders, in reading order."""
    in_order = torch.arange(len(features_FH), device=feature_P.device)
    features_PH = features_FH if torch.equal(feature_P, in_order) else features_FH[feature_P]
    features: Any = [features_PH] if facts.features_listed else features_PH
    return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=features)}}
