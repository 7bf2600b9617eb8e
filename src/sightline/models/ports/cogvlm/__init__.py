"""CogVLM (2023): a Llama with a second set of weights in every layer for the tokens of an image."""

from __future__ import annotations

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()  # before the modules here import transformers' image processors
