"""Pictures are squashed, tiled and cropped to the pixel as the authors do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.models.ports.moondream.images import (
    CROPPED,
    ONE,
    TILED,
    MoondreamImageProcessor,
    cropped_size,
    tiled_size,
)


def picture(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def normal(image: Image.Image) -> torch.Tensor:
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255 - 0.5) / 0.5


def processed(image: Image.Image, **settings: Any) -> Any:
    return MoondreamImageProcessor(**settings)([image], return_tensors="pt")


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((378, 378), (378, 378)),
        ((480, 640), (644, 1176)),
        ((768, 1024), (910, 1176)),
        ((1080, 1920), (644, 1176)),
        ((3000, 2000), (1176, 644)),
        ((300, 2000), (378, 378)),
    ],
)
def test_crops_are_as_many_as_the_authors_make(shape: tuple[int, int], target: tuple[int, int]) -> None:
    assert cropped_size(shape, side=378, overlap=56, most=12) == target


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((511, 300), (378, 378)),  # small
        ((512, 512), (378, 378)),  # both squares have its ratio: 134 + 134 from the small one, 244 + 244 from the other
        ((900, 800), (756, 756)),
        ((400, 800), (378, 756)),
        ((800, 400), (756, 378)),
        ((500, 640), (756, 756)),
    ],
)
def test_tiles_are_as_many_as_the_authors_make(shape: tuple[int, int], target: tuple[int, int]) -> None:
    assert tiled_size(shape, side=378, tiles_from=512) == target


def test_one_view_is_the_picture_squashed() -> None:
    image = picture(300, 500)
    found = processed(image, cut=ONE)
    assert set(found) == {"pixel_values"}
    expected = normal(image.resize((378, 378), Image.Resampling.BICUBIC))
    torch.testing.assert_close(found["pixel_values"][0], expected, rtol=0, atol=1e-6)


def test_tiles_are_cut_row_by_row_behind_the_shrunk_whole() -> None:
    image = picture(800, 700)
    found = processed(image, cut=TILED)
    resized = normal(image.resize((756, 756), Image.Resampling.BICUBIC))
    whole = torch.nn.functional.interpolate(resized[None], size=(378, 378), mode="bilinear")[0]
    tiles = [resized[:, y : y + 378, x : x + 378] for y in (0, 378) for x in (0, 378)]
    assert found["image_tiles"].tolist() == [[2, 2]]
    torch.testing.assert_close(found["pixel_values"][0], torch.stack([whole, *tiles]), rtol=0, atol=1e-6)


def test_crops_overlap_behind_the_squashed_whole() -> None:
    image = picture(480, 640)
    found = processed(image, cut=CROPPED, resample=Image.Resampling.LANCZOS)
    resized = normal(image.resize((1176, 644), Image.Resampling.LANCZOS))
    whole = normal(image.resize((378, 378), Image.Resampling.LANCZOS))
    crops = [resized[:, 266 * i : 266 * i + 378, 266 * j : 266 * j + 378] for i in range(2) for j in range(4)]
    assert found["image_tiles"].tolist() == [[2, 4]]
    torch.testing.assert_close(found["pixel_values"][0], torch.stack([whole, *crops]), rtol=0, atol=1e-6)


def test_pictures_of_fewer_views_are_padded_and_counted() -> None:
    images = [picture(300, 300), picture(800, 400)]
    found = MoondreamImageProcessor(cut=TILED)(images, return_tensors="pt")
    assert found["pixel_values"].shape == (2, 3, 3, 378, 378)
    assert found["image_tiles"].tolist() == [[1, 1], [2, 1]]
    assert not found["pixel_values"][0, 1:].any() and found["pixel_values"][1].flatten(1).any(1).all()
