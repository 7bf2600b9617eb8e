"""Pages as scanners and cameras give them: a little tilted, unevenly lit, grey, soft, noisy, compressed."""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from sightline.data.pictures.images import as_rgb
from sightline.data.pictures.opener import opened_picture

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
