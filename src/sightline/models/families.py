"""What is known of each model family: image inputs, positions, routes. Data, no code paths."""

from __future__ import annotations

from typing import Any

from sightline.types import FamilyFacts

# Measured with transformers 5.23; keyed by `config.model_type`.
FAMILIES: dict[str, FamilyFacts] = {
    "fast_vlm": FamilyFacts(name="fast_vlm", image_inputs=("pixel_values",), features_listed=False),
    "llava": FamilyFacts(name="llava", image_inputs=("pixel_values",)),
}


def family_of(model: Any) -> FamilyFacts | None:
    """The facts of a model's family, or None for a family that is not in the table."""
    return FAMILIES.get(model.config.model_type)
