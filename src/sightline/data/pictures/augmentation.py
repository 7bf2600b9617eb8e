"""Augment training pictures by a named policy: what is drawn depends on seed, epoch and pixels alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from sightline.data.pictures.document_pages import as_copied
from sightline.data.pictures.images import IMAGE_COLUMNS, Change, ChangedImage, content_key
from sightline.data.pictures.rand_augment import rand_augment
from sightline.errors import ConfigError, nearest

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
