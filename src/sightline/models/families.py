"""What is known of each model family: image inputs, positions, blocks, routes. Data, no code paths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.types import FamilyFacts

# Patches of all images in one list, with each image's grid; positions in time, height and width.
_GRID = FamilyFacts(
    name="",
    image_inputs=("pixel_values", "image_grid_thw"),
    grid_input="image_grid_thw",
    type_input="mm_token_type_ids",
)
_FAMILIES = (
    FamilyFacts(name="fast_vlm", image_inputs=("pixel_values",), features_listed=False),
    FamilyFacts(
        name="gemma3",
        image_inputs=("pixel_values",),
        features_listed=False,
        type_input="token_type_ids",
        image_blocks=True,
    ),
    FamilyFacts(name="idefics3", image_inputs=("pixel_values", "pixel_attention_mask"), features_listed=False),
    FamilyFacts(name="internvl", image_inputs=("pixel_values",), features_listed=False),
    FamilyFacts(
        name="lfm2_vl",
        image_inputs=("pixel_values", "spatial_shapes", "pixel_attention_mask"),
        routes=("fork", "plain"),
    ),
    FamilyFacts(name="llava", image_inputs=("pixel_values",)),
    FamilyFacts(name="llava_next", image_inputs=("pixel_values", "image_sizes")),
    replace(_GRID, name="qwen2_5_vl"),
    replace(_GRID, name="qwen2_vl"),
    replace(_GRID, name="qwen3_5", routes=("fork", "plain")),
    replace(_GRID, name="qwen3_vl", deepstack=True),
    FamilyFacts(name="smolvlm", image_inputs=("pixel_values", "pixel_attention_mask"), features_listed=False),
)
# Measured with transformers 5.23; keyed by `config.model_type`.
FAMILIES: dict[str, FamilyFacts] = {facts.name: facts for facts in _FAMILIES}


def family_of(model: Any) -> FamilyFacts | None:
    """The facts of a model's family, or None for a family that is not in the table."""
    return FAMILIES.get(model.config.model_type)
