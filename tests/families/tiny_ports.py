"""Tiny models of the families that Sightline brings itself, built as in tiny_families."""

from __future__ import annotations

from typing import Any

from sightline.models.ports.moondream.config import MoondreamConfig, MoondreamRegionConfig
from sightline.models.ports.moondream.images import CROPPED, ONE, TILED, MoondreamImageProcessor
from sightline.models.ports.moondream.layout import parts_of_2024, parts_of_2025
from sightline.models.ports.moondream.processor import MoondreamProcessor
from tests.families.tiny_words import ID, TEXT, TOWER, Parts, template, tokenizer

VISION = {"model_type": "siglip_vision_model", **TOWER, "image_size": 32, "patch_size": 8, "vision_use_head": False}
PHI = {"model_type": "phi", **TEXT, "num_key_value_heads": 4}


def moondream_of_one_view() -> Parts:
    """A picture squashed to one view, Phi's parallel layers."""
    config = MoondreamConfig(vision_config=VISION, text_config=PHI, projector_size=64, image_token_id=ID["<image>"])
    return parts_of_2024().model(config), _processor(ONE)


def moondream_of_tiles() -> Parts:
    """A view and up to four tiles, whose features are laid over each other."""
    config = MoondreamConfig(
        generation="B", vision_config=VISION, text_config=PHI, projector_size=64, image_token_id=ID["<image>"]
    )
    return parts_of_2024().model(config), _processor(TILED)


def moondream_of_crops() -> Parts:
    """A view and overlapping crops; everything up to the image looks both ways."""
    config = MoondreamRegionConfig(
        vision_config=VISION,
        text_config=PHI,
        projector_size=64,
        image_token_id=ID["<image>"],
        overlap=1,
        region_size=32,
        coordinate_features=8,
        size_features=8,
        bins=16,
    )
    return parts_of_2025().model(config), _processor(CROPPED)


def _processor(cut: str) -> Any:
    images = MoondreamImageProcessor(size={"height": 32, "width": 32}, cut=cut, tiles_from=40, overlap=8)
    words = tokenizer(image_token="<image>")
    return MoondreamProcessor(images, words, chat_template=template(), image_seq_length=16)
