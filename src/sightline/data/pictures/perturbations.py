"""Make images that differ from a row's own: a small crop, or a blank, noisy or blurred image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from sightline.data.pictures.images import content_key

GREY = (127, 127, 127)


@dataclass(frozen=True)
class Crop:
    """A random part of a picture, enlarged to the whole's size; the same seed and pixels give the same part.

    Attributes:
        low, high: bounds of the part's share of the area, 0 to 1.
        seed: of place, size and shape (sides between 3:4 and 4:3).
    """

    low: float
    high: float
    seed: int

    def __call__(self, image: Image.Image) -> Image.Image:
        random = np.random.default_rng([self.seed, int(content_key(image), 16)])
        area = random.uniform(self.low, self.high) * image.width * image.height
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        width = min(image.width, max(1, round(math.sqrt(area * ratio))))
        height = min(image.height, max(1, round(math.sqrt(area / ratio))))
        left = int(random.integers(0, image.width - width + 1))
        top = int(random.integers(0, image.height - height + 1))
        return image.resize(image.size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


@dataclass(frozen=True)
class Blank:
    """A grey picture of the same size."""

    def __call__(self, image: Image.Image) -> Image.Image:
        return Image.new("RGB", image.size, GREY)


@dataclass(frozen=True)
class Noise:
    """The picture under Gaussian noise, as a diffusion model adds it; the same seed and pixels give the same noise.

    Attributes:
        kept: the picture's share of the variance, 0 to 1.
    """

    kept: float
    seed: int

    def __call__(self, image: Image.Image) -> Image.Image:
        random = np.random.default_rng([self.seed, int(content_key(image), 16)])
        pixels = np.asarray(image, dtype=np.float32) / 127.5 - 1
        grain = random.standard_normal(pixels.shape, dtype=np.float32)
        noisy = math.sqrt(self.kept) * pixels + math.sqrt(1 - self.kept) * grain
        return Image.fromarray(np.clip((noisy + 1) * 127.5, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Blur:
    """The picture blurred by a share of its shorter side."""

    share: float

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(self.share * min(image.size)))
