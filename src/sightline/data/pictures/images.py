"""Open an image from any place as upright RGB, and key it by its pixels."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sightline.data.pictures.opener import (
    LIMIT_VARIABLE,
    PictureError,
    PixelsError,
    opened_picture,
    picture_bytes,
    pixel_limit,
    unreadable_file,
)
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


def storage_key(value: Any) -> str:
    """What tells a picture from others as it is stored, without opening it: its path, or a hash of its bytes."""
    stored = stored_image(value)
    if isinstance(stored, bytes | bytearray):
        return hashlib.blake2b(stored, digest_size=16).hexdigest()
    return content_key(stored) if isinstance(stored, Image.Image) else str(stored)


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
        return _shown(value, name)
    stored = _encoded(value, name)
    with _named(stored, name), opened_picture(stored) as image:
        return upright_rgb(image)


def image_size(value: Any, name: str) -> tuple[int, int]:
    """Width and height that `open_image` would give, from the head of the file alone.

    Raises:
        DataError: missing, unreadable, over the limit of pixels.
    """
    if isinstance(value, ChangedImage):
        return open_image(value, name).size
    if isinstance(value, Image.Image):
        return upright_size(value)
    stored = _encoded(value, name)
    with _named(stored, name), opened_picture(stored) as image:
        return upright_size(image)


def read_whole(value: Any, name: str) -> tuple[int, int]:
    """Width and height as `image_size` has them, of a picture whose pixels were read to the end of the file.

    A JPEG is decoded at an eighth of its size, which finds a cut file, too.

    Raises:
        DataError: whatever `open_image` refuses.
    """
    stored = _encoded(value, name)
    with _named(stored, name), opened_picture(stored) as image:
        if image.mode in WIDE_MODES:
            return upright_rgb(image).size
        size = upright_size(image)
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
        return size


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


def _require_8_bits(image: Image.Image) -> None:
    values = np.asarray(image)
    low, high = values.min(), values.max()
    parts_of_one = image.mode == "F" and 0 < high <= 1
    if not (low >= 0 and high <= 255) or parts_of_one:  # what is not a number compares as false
        raise PixelsError(f"its pixels of mode {image.mode} (32 bits) run from {low:g} to {high:g}, expected 0 to 255")


def encoded_format(stored: bytes | str | Path, name: str) -> str:
    """The format of an encoded picture of the row `name`, as a file's ending. Raises DataError where it is none."""
    with _named(stored, name), opened_picture(stored) as image:
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


_refusals: dict[str, str] = {}


def remember_refusal(stored: str | bytes, why: str) -> None:
    """Lets whoever meets what stands in place of a picture repeat why it is none, with the name of its own row."""
    _refusals[_refusal_key(stored)] = why


def remembered_refusal(stored: str | bytes) -> str:
    """Why what stands in place of a picture is none; empty where nobody has said so."""
    return _refusals.get(_refusal_key(stored), "")


def _refusal_key(stored: str | bytes | bytearray | Path) -> str:
    if isinstance(stored, bytes | bytearray):
        return hashlib.blake2b(stored, digest_size=16).hexdigest()
    return str(stored)


def named_key(value: Any, name: str) -> str:
    """`stored_key` of a picture of the row `name`. Raises DataError where its file cannot be read."""
    try:
        return stored_key(value)
    except OSError as error:
        place = str(error.filename or value)
        why = _refusals.get(place) or f"image '{place}' {unreadable_file(error).sentence}"
        raise DataError(f"{name}: {why}") from error


def file_stamps(path: str | Path) -> tuple[int, ...]:
    """What tells that a file has other content than before, without reading it. Raises OSError where there is none."""
    try:
        stat = os.stat(path)
    except ValueError as error:  # a NUL in the path, or letters that no file's name has
        raise FileNotFoundError(2, f"no path ({error})", str(path)) from error
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size)


@functools.lru_cache(maxsize=100_000)
def _file_key(path: str, stamps: tuple[int, ...]) -> str:
    return _encoded_key(picture_bytes(path))


def _encoded_key(content: bytes | bytearray) -> str:
    return hashlib.blake2b(content, digest_size=16, person=_AS_SHOWN).hexdigest()


def _encoded(value: Any, name: str) -> bytes | bytearray | str | Path:
    """The path or the bytes of a closed picture; raises DataError where there is neither."""
    stored = (value.get("bytes") or value.get("path")) if isinstance(value, Mapping) else value
    if isinstance(stored, bytes | bytearray | str | Path):
        return stored
    raise DataError(
        f"{name}: expected an image (a path, encoded bytes or a PIL image), got {type(stored).__name__}. "
        "Fill the image column or leave it out."
    )


@contextmanager
def _named(stored: bytes | bytearray | str | Path, name: str) -> Iterator[None]:
    """What goes wrong with a picture as an error that begins with its row."""
    is_path = isinstance(stored, str | Path)
    what = f"image '{str(stored)[:200]}'" if is_path else f"the image ({len(stored)} bytes)"  # type: ignore[arg-type]
    try:
        yield
    except PictureError as error:
        why = _refusals.get(_refusal_key(stored))
        raise DataError(f"{name}: {why or f'{what} {error.sentence}'}") from error
    except PixelsError as error:
        raise DataError(f"{name}: {what} cannot be shown: {error}. Save it as PNG of 8 bits.") from error


def _shown(image: Image.Image, name: str) -> Image.Image:
    """An open picture as `upright_rgb` makes it."""
    pixels, limit = image.width * image.height, pixel_limit()
    if pixels > limit:
        raise DataError(
            f"{name}: the image has {image.width} x {image.height} pixels, over the limit of {limit:,}. Make it "
            f"smaller, or raise the limit by {LIMIT_VARIABLE}."
        )
    try:
        return upright_rgb(image)
    except PixelsError as error:
        raise DataError(f"{name}: the image cannot be shown: {error}. Save it as PNG of 8 bits.") from error
    except Exception as error:  # one that was opened, but not read yet, fails in all ways of Pillow's formats
        raise DataError(f"{name}: the image is damaged: {error}. Replace it or leave it out.") from error
