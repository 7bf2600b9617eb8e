"""Whether two pictures that look alike are one: scale one to the other, compress it the same way, compare pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from sightline.data.pictures.images import upright_rgb
from sightline.data.pictures.opener import opened_picture

# A copy made by the same steps differs from the other one only by how it was scaled. In levels of 255, of 200 pictures
# each of 5 kinds (emoji, flat shapes, puzzles, photos, X-rays), at most 1 in 100 of true copies lay over 4.7 (means of
# 2 x 2 pixels) and 26 (the largest difference of 4 x 4 pixels), and 1 in 100 of the nearest others under 6.0 and 38.
MEAN_LEVELS, PEAK_LEVELS, CONTRAST_SHARE, LEAST_LEVELS = 5.5, 32.0, 0.12, 1.5
MAX_SIDE = 1024
COMPARED_SIDE = 256  # without the same compression pictures are compared small, where it averages out


def are_copies(one: Any, other: Any) -> bool:
    """Whether one picture is the other one, resized or compressed again.

    Takes paths or encoded bytes of pictures that can be read. Scaling alone is blind to small pictures: at 64 x 64
    pixels a JPEG of quality 50 lies as far from its original as the next flat drawing does.
    """
    (first, first_jpeg), (second, second_jpeg) = _opened(one), _opened(other)
    smaller, larger = sorted((first, second), key=lambda image: image.width * image.height)
    if _are_equal(larger, smaller, None):
        return True
    ways = ((second, first, first_jpeg), (first, second, second_jpeg))
    return any(jpeg is not None and _are_equal(source, target, jpeg) for source, target, jpeg in ways)


def _opened(stored: Any) -> tuple[Image.Image, JpegImageFile | None]:
    """A picture of at most MAX_SIDE, and the file itself where that shows its pixels as they were compressed."""
    with opened_picture(stored) as image:
        full = image.size
        image.draft("RGB", (MAX_SIDE, MAX_SIDE))
        rgb = upright_rgb(image)
        if max(rgb.size) > MAX_SIDE:
            rgb.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
    if isinstance(image, JpegImageFile) and image.mode == "RGB" and rgb.size == full:
        return rgb, image
    return rgb, None


def _are_equal(source: Image.Image, target: Image.Image, jpeg: JpegImageFile | None) -> bool:
    """Whether the source becomes the target by scaling and by the target's own compression."""
    if jpeg is None:
        target = target.copy()
        target.thumbnail((COMPARED_SIDE, COMPARED_SIDE), Image.Resampling.BICUBIC)
    scaled = source.resize(target.size, Image.Resampling.BICUBIC)
    if jpeg is not None:
        buffer = BytesIO()
        scaled.save(buffer, "JPEG", qtables=jpeg.quantization, subsampling=get_sampling(jpeg))
        with opened_picture(buffer.getvalue()) as compressed:
            scaled = compressed.copy()
    difference = _means(scaled, 2) - _means(target, 2)
    contrast = float(_means(target, 2).reshape(-1, 3).std(0).max())
    allowed = min(MEAN_LEVELS, max(LEAST_LEVELS, CONTRAST_SHARE * contrast))
    if float(np.sqrt((difference**2).mean())) > allowed:
        return False
    return float(np.abs(_means(scaled, 4) - _means(target, 4)).max()) <= PEAK_LEVELS


def _means(image: Image.Image, side: int) -> np.ndarray:
    """Means over squares of pixels; those at the edges may be smaller."""
    return np.asarray(image.reduce(side), dtype=np.float32)
