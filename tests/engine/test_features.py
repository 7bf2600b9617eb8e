"""Image inputs of picked images, by hand."""

from __future__ import annotations

import torch

from sightline.engine.features import pick_inputs
from sightline.types import FamilyFacts


def test_patches_and_images_are_picked_in_the_order_of_rows() -> None:
    """Two images of 1 and 2 placeholders, two patches a placeholder; the second image is shown twice."""
    inputs = {"pixel_values": torch.arange(6), "image_grid_thw": torch.tensor([[1, 1, 2], [1, 2, 2]])}
    facts = FamilyFacts(name="any", image_inputs=("pixel_values", "image_grid_thw"))
    picked = pick_inputs(inputs, torch.tensor([1, 0, 1]), (1, 2), facts)
    assert picked["pixel_values"].tolist() == [2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
    assert picked["image_grid_thw"].tolist() == [[1, 2, 2], [1, 1, 2], [1, 2, 2]]


def test_pointers_into_patches_follow_the_patches() -> None:
    """Images of 1 and 2 crops of three patches; the second image's pointers begin at patch 3, then at 0, then at 9."""
    inputs = {
        "pixel_values": torch.arange(9).view(3, 3),
        "pooling": torch.tensor([[0, 2], [3, 5], [6, -1]]),
        "crops": torch.tensor([1, 2]),
    }
    facts = FamilyFacts(name="any", image_inputs=("pixel_values", "pooling"), crop_input="crops", index_input="pooling")
    picked = pick_inputs(inputs, torch.tensor([1, 0, 1]), (1, 2), facts)
    assert picked["pixel_values"].flatten().tolist() == [3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert picked["pooling"].tolist() == [[0, 2], [3, -1], [6, 8], [9, 11], [12, -1]]
    assert picked["crops"].tolist() == [2, 1, 2]
