"""What a stored picture is: whether it can be read, its traps, a key of its pixels, and how it looks at a glance."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from sightline.data.checking.looks import glance
from sightline.data.images import PixelsError, content_key, upright_rgb

MAX_PIXELS = 89_478_485  # Pillow's own limit: it warns of a decompression bomb beyond, and refuses twice as many
PILLOW_REFUSES = 2 * MAX_PIXELS
LARGE_PIXELS = 16_000_000
DRAFT_SIDE = 512
STRIP_RATIO = 100  # Qwen2-VL's processor refuses 200
HEAD_BYTES = 2048

_ONE_LARGE = threading.Lock()  # a picture of 89 megapixels takes 360 MB while it is open
_HEADS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\x00", b"MM\x00*", b"BM")


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


def inspect_picture(stored: Any, max_pixels: int = MAX_PIXELS) -> PictureFacts:
    """What a picture is, by its path or its encoded bytes; its pixels are decoded once, and not at all over the limit.

    A large JPEG is decoded at a fraction of its size, which reads the whole file and so finds a cut one.
    """
    if isinstance(stored, str) and "://" in stored:
        return PictureFacts("remote", stored)
    if isinstance(stored, str) and not Path(stored).is_file():
        return PictureFacts("missing", f"'{stored}' is not there")
    try:
        image = Image.open(BytesIO(stored) if isinstance(stored, bytes) else stored)
    except Image.DecompressionBombError as error:
        return PictureFacts("too_large", str(error))
    except Exception:  # each of Pillow's formats raises errors of its own
        return _no_picture(stored)
    with image:
        width, height = image.size
        found = PictureFacts(width=width, height=height, format=image.format or "")
        if width * height > max_pixels:
            return PictureFacts("too_large", f"{width} x {height} pixels", (), width, height, found.format)
        try:
            with _ONE_LARGE if width * height > LARGE_PIXELS else nullcontext():
                return _read(image, found)
        except PixelsError as error:
            return PictureFacts("wide_values", str(error), (), width, height, found.format)
        except Exception as error:
            return PictureFacts("truncated", f"{found.format}: {error}", (), width, height, found.format)


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


def _no_picture(stored: str | bytes) -> PictureFacts:
    """Why Pillow knows no format for it."""
    if isinstance(stored, bytes):
        head = stored[:HEAD_BYTES]
    else:
        with open(stored, "rb") as file:
            head = file.read(HEAD_BYTES)
    if head.startswith(_HEADS):
        return PictureFacts("truncated", "cut off or damaged in its head")
    return PictureFacts("unreadable", _what_it_is(head))


def _what_it_is(head: bytes) -> str:
    """What a file that is no picture is, by its first bytes."""
    if not head:
        return "empty: 0 bytes"
    start = head.lstrip().lower()
    if b"<svg" in start:
        return "an SVG drawing, which has no pixels: save it as PNG"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page: its download went wrong"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS: fetch the file by `git lfs pull`"
    if b"\x00" not in head:
        try:
            return f"text: '{head[:40].decode().strip()}'"
        except UnicodeDecodeError:
            pass
    return "no format that Pillow can read"
