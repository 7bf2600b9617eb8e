"""RandAugment of pictures as ViLT's authors use it: two drawn changes at strength 9, none that inverts or cuts out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

CHANGES, STRENGTH, STRONGEST = 2, 9, 30

# Source: Kim et al. 2021, section 3.4, after Cubuk et al. 2020. The authors shift by pixels of a picture whose shorter
# side is 384; here a shift is the same share of a picture of any size.
_SHIFT_SHARE = 100 / 384


def rand_augment(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The picture (H, W, 3) after `CHANGES` drawn changes of strength `STRENGTH` of `STRONGEST`."""
    image = Image.fromarray(pixels)
    names = list(OPERATIONS)
    for index in random.integers(len(names), size=CHANGES):
        low, high, change = OPERATIONS[names[index]]
        amount = low + (high - low) * STRENGTH / STRONGEST
        image = change(image, amount, 1 if random.random() < 0.5 else -1)
    return np.asarray(image)


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def _solarize_add(image: Image.Image, amount: float, sign: int) -> Image.Image:
    pixels = np.asarray(image).astype(int)
    lighter = np.clip(pixels + int(amount), 0, 255)
    return Image.fromarray(np.where(pixels < 128, lighter, pixels).astype(np.uint8))


def _shift(image: Image.Image, share: float, along: int) -> Image.Image:
    pixels = share * min(image.size)
    return _affine(image, 1, 0, pixels if along == 0 else 0, 0, 1, pixels if along == 1 else 0)


# Weakest and strongest amount of each change, and the change: picture, amount, drawn sign.
OPERATIONS: dict[str, tuple[float, float, Callable[[Image.Image, float, int], Image.Image]]] = {
    "auto_contrast": (0, 1, lambda image, amount, sign: ImageOps.autocontrast(image)),
    "equalize": (0, 1, lambda image, amount, sign: ImageOps.equalize(image)),
    "rotate": (0, 30, lambda image, amount, sign: image.rotate(sign * amount)),
    "posterize": (0, 4, lambda image, amount, sign: ImageOps.posterize(image, max(1, int(amount)))),
    "solarize": (0, 256, lambda image, amount, sign: ImageOps.solarize(image, int(amount))),
    "solarize_add": (0, 110, _solarize_add),
    "color": (0.1, 1.9, lambda image, amount, sign: ImageEnhance.Color(image).enhance(amount)),
    "contrast": (0.1, 1.9, lambda image, amount, sign: ImageEnhance.Contrast(image).enhance(amount)),
    "brightness": (0.1, 1.9, lambda image, amount, sign: ImageEnhance.Brightness(image).enhance(amount)),
    "sharpness": (0.1, 1.9, lambda image, amount, sign: ImageEnhance.Sharpness(image).enhance(amount)),
    "shear_x": (0, 0.3, lambda image, amount, sign: _affine(image, 1, sign * amount, 0, 0, 1, 0)),
    "shear_y": (0, 0.3, lambda image, amount, sign: _affine(image, 1, 0, 0, sign * amount, 1, 0)),
    "shift_x": (0, _SHIFT_SHARE, lambda image, amount, sign: _shift(image, sign * amount, 0)),
    "shift_y": (0, _SHIFT_SHARE, lambda image, amount, sign: _shift(image, sign * amount, 1)),
}
