"""What a stored picture is: whether it can be read, its traps, a key of its pixels, and how it looks at a glance."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sightline.data.checking.looks import glance
from sightline.data.pictures.images import content_key, remembered_refusal, upright_rgb
from sightline.data.pictures.opener import PictureError, PixelsError, opened_picture

LARGE_PIXELS = 16_000_000
DRAFT_SIDE = 512
STRIP_RATIO = 100  # Qwen2-VL's processor refuses 200

_ONE_LARGE = threading.Lock()  # a picture of 89 megapixels takes 360 MB while it is open


@dataclass(frozen=True)
class PictureFacts:
    """What was found in one picture.

    Attributes:
        problem: the kind of finding that keeps it from training, or empty.
        reason: the problem in words.
        traits: kinds of findings that leave it readable, each with its detail.
        width: in pixels, upright; 0 where nothing could be read.
        content: equal for equal pixels of the same size.
        look: its `glance`; empty where the pixels could not be read.
    """

    problem: str = ""
    reason: str = ""
    traits: tuple[tuple[str, str], ...] = ()
    width: int = 0
    height: int = 0
    format: str = ""
    content: str = ""
    look: bytes = b""


def inspect_picture(stored: Any, max_pixels: int | None = None) -> PictureFacts:
    """What a picture is, by its path or its encoded bytes; its pixels are decoded once, and not at all over the limit.

    A large JPEG is decoded at a fraction of its size, which reads the whole file and so finds a cut one.
    """
    if isinstance(stored, str) and "://" in stored:
        return PictureFacts("remote", stored)
    try:
        with opened_picture(stored, max_pixels) as image:
            width, height = image.size
            found = PictureFacts(width=width, height=height, format=image.format or "")
            try:
                with _ONE_LARGE if width * height > LARGE_PIXELS else nullcontext():
                    return _read(image, found)
            except PixelsError as error:
                return PictureFacts("wide_values", str(error), (), width, height, found.format)
    except PictureError as error:
        said = remembered_refusal(stored) if isinstance(stored, bytes) else ""  # of a row that names no picture at all
        return PictureFacts(error.kind, said or error.reason, (), error.width, error.height, error.format)


def _read(image: Image.Image, found: PictureFacts) -> PictureFacts:
    """All that is to know of a picture whose head is good; raises whatever Pillow does where its pixels are not."""
    width, height = found.width, found.height
    orientation = image.getexif().get(0x0112, 1)
    traits = [("animated", f"{found.format} of several frames")] if getattr(image, "is_animated", False) else []
    if image.mode == "CMYK":
        traits.append(("cmyk", found.format))
    if image.mode.startswith("I;16"):
        traits.append(("sixteen_bit", image.mode))
    if max(width, height) > STRIP_RATIO * min(width, height):
        traits.append(("strip", f"{width} x {height} pixels"))
    if 2 <= orientation <= 8:
        traits.append(("turned", f"orientation {orientation}"))
    image.draft("RGB", (DRAFT_SIDE, DRAFT_SIDE))
    rgb = upright_rgb(image)
    traits += _transparency(image, rgb)
    if orientation >= 5:  # these lie on their side
        width, height = height, width
    content = f"{width}x{height} {content_key(rgb)}"
    return PictureFacts("", "", tuple(traits), width, height, found.format, content, glance(rgb))


def _transparency(image: Image.Image, rgb: Image.Image) -> list[tuple[str, str]]:
    """Whether some pixels are transparent, and whether the picture has one colour on white."""
    if not image.has_transparency_data:
        return []
    opacities = image.convert("RGBA").getchannel("A").histogram()
    pixels = sum(opacities)
    if opacities[255] == pixels:
        return []
    colours = rgb.getcolors(1)  # None where there is more than one
    if colours and max(opacities) < pixels:
        return [("vanishing", f"all of it is rgb{colours[0][1]}")]
    return [("transparent", f"mode {image.mode}")]
