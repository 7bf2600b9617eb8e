"""Qwen-VL and Qwen-VL-Chat of 2023, under the names that their authors gave to weights and settings."""

from __future__ import annotations

from sightline.models.torchvision_schemas import declare_torchvision_operators

declare_torchvision_operators()  # before the modules here import transformers' image processors
