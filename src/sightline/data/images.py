"""Open a picture wherever it lies, as upright RGB, and key it by its pixels."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sightline.errors import DataError

IMAGE_COLUMNS = ("image", "images", "rejected_images")
STRIP_PIXELS = 1_000_000
WIDE_MODES = ("I", "F")  # Pillow's names of 32-bit whole numbers and of floats
_AS_SHOWN = b"laid on white"  # part of keys of stored pictures: what was kept of them under another rule is not reused
Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class ChangedImage:
    """A picture made from another one when it is opened.

    Attributes:
        original: what `open_image` takes.
        change: makes the new picture; its repr tells it from other changes.
    """

    original: Any
    change: Change


def row_images(row: dict[str, Any]) -> list[Any]:
    """The images of a row, from `images`, or where that is empty from `image`; the row stays as it is."""
    if row.get("images"):
        return list(row["images"])
    return [row["image"]] if row.get("image") is not None else []


def rejected_images(row: dict[str, Any]) -> list[Any]:
    """The images of a row's `rejected_images`, a list or a single one; empty where the row has none."""
    given = row.get("rejected_images")
    if given is None:
        return []
    return list(given) if isinstance(given, list) else [given]


def stored_image(value: Any) -> Any:
    """The bytes or the path of a closed image, from the record of `datasets.Image(decode=False)`; else the value."""
    if not isinstance(value, Mapping):
        return value
    return value.get("path") if value.get("bytes") is None else value["bytes"]


def open_image(value: Any, name: str) -> Image.Image:
    """The picture decoded, turned upright by its EXIF tag (as `datasets` and transformers do), in RGB.

    Args:
        value: a path, encoded bytes, the `{"path", "bytes"}` record of `datasets.Image(decode=False)`, a PIL image, or
            one of these to be changed.
        name: the row it belongs to ("train.jsonl row 12"); it starts every error message.

    Raises:
        DataError: missing, unreadable or truncated.
    """
    if isinstance(value, ChangedImage):
        return value.change(open_image(value.original, name))
    if isinstance(value, Image.Image):
        return _decode(value, name, "the image")
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes | bytearray):
        return _open(BytesIO(value), name, f"the image ({len(value)} bytes)")
    if isinstance(value, str | Path):
        if not Path(value).is_file():
            raise DataError(f"{name}: image '{value}' not found. Mend the path, or leave it out.")
        return _open(Path(value), name, f"image '{value}'")
    raise DataError(
        f"{name}: expected an image (a path, encoded bytes or a PIL image), got {type(value).__name__}. "
        "Fill the image column or leave it out."
    )


def image_size(value: Any, name: str) -> tuple[int, int]:
    """Width and height that `open_image` would give, from the head of the file alone.

    Raises:
        DataError: missing or unreadable.
    """
    stored: Any = (value.get("bytes") or value.get("path")) if isinstance(value, Mapping) else value
    try:
        if isinstance(stored, Image.Image):
            return upright_size(stored)
        with Image.open(BytesIO(stored) if isinstance(stored, bytes | bytearray) else stored) as image:
            return upright_size(image)
    except Exception:  # whatever Pillow raises, open_image says it with file and row
        return open_image(value, name).size


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the picture once its EXIF tag has turned it."""
    width, height = image.size
    turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientation: 5 to 8 lie on their side
    return (height, width) if turned else (width, height)


def upright_rgb(image: Image.Image) -> Image.Image:
    """The picture turned by its EXIF tag, in RGB as `as_rgb` makes it; of an animation the first frame."""
    return as_rgb(ImageOps.exif_transpose(image))


def as_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB: laid on white where it is transparent, of 16-bit greys the upper 8 bits.

    The only way to RGB in the project, equal to the bit to what processors do (`convert_to_rgb`, transformers 5.23),
    but for greys over 8 bits, which Pillow 13 would cut off at 255.

    Raises:
        PixelsError: values of 32 bits that 8 bits cannot hold, or a mode that Pillow cannot convert.
    """
    transparent = image.info.get("transparency")
    if image.mode in WIDE_MODES:
        _require_8_bits(image)
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        image = Image.fromarray((values >> 8).astype(np.uint8))
        if transparent is not None:
            image.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    elif image.mode == "RGB" and transparent is None:
        return image
    if "A" not in image.getbands() and transparent is None:
        try:
            return image.convert("RGB")
        except ValueError as error:
            raise PixelsError(f"its mode is {image.mode}, which Pillow does not turn into RGB") from error
    ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


class PixelsError(ValueError):
    """Pixels that cannot be shown: of more than 8 bits, whose white nobody knows, or of a mode without way to RGB."""


def _require_8_bits(image: Image.Image) -> None:
    values = np.asarray(image)
    low, high = values.min(), values.max()
    parts_of_one = image.mode == "F" and 0 < high <= 1
    if not (low >= 0 and high <= 255) or parts_of_one:  # what is not a number compares as false
        raise PixelsError(f"its pixels of mode {image.mode} (32 bits) run from {low:g} to {high:g}, expected 0 to 255")


def encoded_format(content: bytes) -> str:
    """The format of an encoded picture, as a file's ending. Raises whatever Pillow raises where it is none."""
    with Image.open(BytesIO(content)) as image:
        return str(image.format).lower()


def content_key(image: Image.Image) -> str:
    """A key of the pixels: equal for equal pictures, however they were stored (BLAKE2b, 128 bits, hexadecimal)."""
    digest = hashlib.blake2b(f"{image.mode} {image.size}".encode(), digest_size=16)
    lines = max(1, STRIP_PIXELS // max(1, image.width))  # a copy of all pixels would double a large picture's memory
    for top in range(0, image.height, lines):
        strip = (0, top, image.width, min(top + lines, image.height))
        digest.update((image if image.height <= lines else image.crop(strip)).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class OpenPicture:
    """A `Picture` that is open already."""

    image: Image.Image
    key: str

    def open(self) -> Image.Image:
        """The picture."""
        return self.image


def opened(image: Image.Image) -> OpenPicture:
    """An RGB image as a `Picture`."""
    return OpenPicture(image, content_key(image))


def stored_key(value: Any) -> str:
    """A key of the picture as it is stored: of the encoded bytes, or of the pixels where it is open already.

    Takes what `open_image` takes, and raises OSError where a file cannot be read.
    """
    if isinstance(value, ChangedImage):
        changed = f"{value.change!r} {stored_key(value.original)}"
        return hashlib.blake2b(changed.encode(), digest_size=16).hexdigest()
    if isinstance(value, Image.Image):
        return content_key(value)
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes | bytearray):
        return _encoded_key(value)
    return _file_key(str(value), file_stamps(value))


def file_stamps(path: str | Path) -> tuple[int, ...]:
    """What tells that a file has other content than before, without reading it. Raises OSError where there is none."""
    stat = os.stat(path)
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size)


@functools.lru_cache(maxsize=100_000)
def _file_key(path: str, stamps: tuple[int, ...]) -> str:
    return _encoded_key(Path(path).read_bytes())


def _encoded_key(content: bytes | bytearray) -> str:
    return hashlib.blake2b(content, digest_size=16, person=_AS_SHOWN).hexdigest()


def _open(file: BytesIO | Path, name: str, what: str) -> Image.Image:
    try:
        with Image.open(file) as image:
            return _decode(image, name, what)
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: {what} is no picture that Pillow can read. Replace it or leave it out.") from error
    except (Image.DecompressionBombError, OSError) as error:
        raise DataError(f"{name}: {what} cannot be read: {error}. Replace it or leave it out.") from error


def _decode(image: Image.Image, name: str, what: str) -> Image.Image:
    try:
        return upright_rgb(image)
    except PixelsError as error:
        raise DataError(f"{name}: {what} cannot be shown: {error}. Save it as PNG of 8 bits.") from error
    except (OSError, SyntaxError, ValueError) as error:  # PIL raises SyntaxError for a broken PNG
        raise DataError(f"{name}: {what} is damaged: {error}. Replace it or leave it out.") from error
