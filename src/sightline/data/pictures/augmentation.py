"""Change images: random augmentation, and crops, blanks, noise and blur that differ from a row's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from sightline.data.pictures.images import IMAGE_COLUMNS, Change, ChangedImage, as_rgb, content_key
from sightline.data.pictures.opener import opened_picture
from sightline.errors import ConfigError, nearest

TILT = math.radians(2)
STRIP_TILT = 0.1  # the ends of a long strip move by no more than this share of its height, half up, half down
CORNER_SHARE = 0.01  # of the shorter side: how far a corner moves besides
DARKEST = 0.75  # of the light, where a shadow is deepest
GREY_SHARE = 0.25  # of the pages
NOISE = 6.0  # standard deviation, of 255
BLUR_SHARE = 1 / 800  # of the shorter side: radius in pixels
QUALITY = (40, 95)  # of JPEG


def as_copied(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """The page at its own size after all of this, each in a drawn strength that leaves text legible."""
    page = _lit(_tilted(image, random), random)
    page = page.filter(ImageFilter.GaussianBlur(random.uniform(0, max(0.4, BLUR_SHARE * min(page.size)))))
    if random.random() < GREY_SHARE:
        page = as_rgb(page.convert("L"))
    return _compressed(_noisy(page, random), int(random.integers(*QUALITY, endpoint=True)))


def _tilted(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """The page turned, its corners moved a little; what comes into view has the colour of its border."""
    angle = random.uniform(-1, 1) * min(TILT, STRIP_TILT * min(image.size) / max(image.size))
    middle = np.array([image.width / 2, image.height / 2])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * middle  # the order that QUAD takes
    moved = corners @ turn.T + middle + random.uniform(-1, 1, (4, 2)) * CORNER_SHARE * min(image.size)
    return image.transform(
        image.size,
        Image.Transform.QUAD,
        tuple(moved.flatten().tolist()),
        Image.Resampling.BICUBIC,
        fillcolor=_border_colour(image),
    )


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(value) for value in np.median(border, axis=0))


def _lit(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Light that falls off evenly towards a drawn side."""
    direction, deepest = random.uniform(0, 2 * math.pi), random.uniform(DARKEST, 1)
    across = math.cos(direction) * np.linspace(-1, 1, image.width, dtype=np.float32)
    down = math.sin(direction) * np.linspace(-1, 1, image.height, dtype=np.float32)
    shadow = (down[:, None] + across[None, :]) / (2 * math.sqrt(2)) + 0.5  # 0 to 1
    light = 1 - (1 - deepest) * shadow
    return Image.fromarray((np.asarray(image) * light[..., None]).astype(np.uint8))


def _noisy(image: Image.Image, random: np.random.Generator) -> Image.Image:
    grain = random.uniform(0, NOISE) * random.standard_normal((image.height, image.width, 1), dtype=np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    with opened_picture(buffer.getvalue()) as compressed:
        return as_rgb(compressed).copy()


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
