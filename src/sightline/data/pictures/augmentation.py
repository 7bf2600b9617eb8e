"""Augment training pictures by a named policy, RandAugment among them: drawn from seed, epoch and pixels alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from sightline.data.pictures.document_pages import as_copied
from sightline.data.pictures.images import IMAGE_COLUMNS, Change, ChangedImage, content_key
from sightline.errors import ConfigError, nearest

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


NONE = "none"
KEPT_AREA = 0.9
JITTER = 0.2


def light(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """At least `KEPT_AREA` of the picture at its own size; brightness, contrast and colour within `JITTER` of theirs.

    Never mirrored: texts, and answers that say left or right, stay true.
    """
    share = math.sqrt(random.uniform(KEPT_AREA, 1))
    width, height = share * image.width, share * image.height
    left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
    box = (left, top, min(image.width, left + width), min(image.height, top + height))
    image = image.resize(image.size, Image.Resampling.BICUBIC, box=box)
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(random.uniform(1 - JITTER, 1 + JITTER))
    return image


def _rand_augmented(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return Image.fromarray(rand_augment(np.asarray(image), random))


# Each keeps the picture's size, so that a row has as many tokens as it was found to have before training.
POLICIES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "light": light,
    "randaugment": _rand_augmented,
    "document": as_copied,
}


@dataclass(frozen=True)
class Augment:
    """The change that a policy makes of a picture in one epoch: equal pictures change alike, wherever they stand."""

    policy: str
    seed: int
    epoch: int

    def __call__(self, image: Image.Image) -> Image.Image:
        random = np.random.default_rng([self.seed, self.epoch, int(content_key(image), 16)])
        return POLICIES[self.policy](image, random)


def check_policy(policy: str) -> None:
    """Raise ConfigError for a policy that does not exist."""
    known = (NONE, *POLICIES)
    if policy not in known:
        hint = nearest(policy, known)
        raise ConfigError(f"augmentation: expected one of {', '.join(known)}; got '{policy}'. {hint}".rstrip())


def augmented_row(row: dict[str, Any], change: Change) -> dict[str, Any]:
    """The row with each of its images, closed or open, changed once it is opened; rejected images, too."""
    changed: dict[str, Any] = {}
    for column in IMAGE_COLUMNS:
        value = row.get(column)
        if isinstance(value, list):
            changed[column] = [ChangedImage(part, change) for part in value]
        elif value is not None:
            changed[column] = ChangedImage(value, change)
    return {**row, **changed}


def augmented_samples(image: Image.Image, policy: str, count: int, seed: int = 0) -> list[Image.Image]:
    """An RGB picture as the first `count` epochs of a run with this seed show it."""
    check_policy(policy)
    if policy == NONE:
        return [image] * count
    return [Augment(policy, seed, epoch)(image) for epoch in range(count)]
