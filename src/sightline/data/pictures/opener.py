"""The only way to open encoded images: listed formats, a limit of pixels, one kind of error."""

from __future__ import annotations

import functools
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import Image

from sightline.errors import ConfigError, SightlineError

# What is opened, in the order of trial; TGA, whose files begin with no mark of their own, last. Left out are formats
# that start programs (EPS starts Ghostscript, WMF and others the user's own handlers) and those of single programs,
# whose readers few people try.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "TGA")
MAX_PIXELS = 89_478_485  # where Pillow begins to warn of decompression bombs: 360 MB while the picture is open
PILLOW_REFUSES = 2 * MAX_PIXELS
LIMIT_VARIABLE = "SIGHTLINE_MAX_PIXELS"
MAX_FILE_BYTES = 2**30  # the largest picture of MAX_PIXELS, uncompressed in 16 bits with opacity, has 716 MB
HEAD_BYTES = 2048
MOST_SCANS = 100  # of a JPEG; cameras and editors write 1 to 12, and each costs a pass over all pixels

# Kinds of failures.
MISSING, UNREADABLE, TRUNCATED, TOO_LARGE, DENIED = "missing", "unreadable", "truncated", "too_large", "denied"

_FOREIGN = (
    ((b"%!PS", b"\xc5\xd0\xd3\xc6"), "PostScript, a program that draws: save it as PNG"),
    ((b"%PDF",), "a PDF document: save its pages as PNG"),
    ((b"8BPS",), "a Photoshop file: save it as PNG"),
    ((b"SIMPLE  =",), "a FITS file: save it as PNG"),
    ((b"\xd7\xcd\xc6\x9a", b"\x01\x00\x00\x00"), "a Windows metafile: save it as PNG"),
    ((b"\x89HDF",), "an HDF5 file: save it as PNG"),
    ((b"\xff\x0a", b"\x00\x00\x00\x0cJXL "), "JPEG XL: save it as PNG or JPEG"),
    ((b"PK\x03\x04",), "a zip archive: unpack it"),
    ((b"\x1f\x8b",), "packed by gzip: unpack it"),
)
_SPECIAL = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "a device"),
)


class PictureError(Exception):
    """A picture that cannot be opened.

    Attributes:
        kind: one of the kinds above.
        reason: what was found, for a table.
        sentence: what follows the picture's name in a message, with what to do.
        width, height, format: what its head says, as far as that was read.
    """

    def __init__(self, kind: str, reason: str, sentence: str, size: tuple[int, int] = (0, 0), form: str = "") -> None:
        super().__init__(reason)
        self.kind, self.reason, self.sentence = kind, reason, sentence
        (self.width, self.height), self.format = size, form


@contextmanager
def opened_picture(stored: str | Path | bytes | bytearray, max_pixels: int | None = None) -> Iterator[Image.Image]:
    """An encoded picture whose head was read and held against the limits; its pixels are decoded in the `with` block.

    Args:
        stored: the path of a file, or the encoded bytes.
        max_pixels: by default `pixel_limit()`.

    Raises:
        PictureError: no regular file, no format of the list, too many pixels; or whatever Pillow raises in the block.
    """
    size, form = (0, 0), ""
    try:
        with _opened_bytes(stored) as file:
            image = _read_head(file, pixel_limit() if max_pixels is None else max_pixels)
            size, form = image.size, image.format or ""
            yield image
    except (PictureError, SightlineError, PixelsError):
        raise
    except OSError as error:
        if error.filename is not None:
            raise unreadable_file(error) from error
        raise _damaged(error, size, form) from error
    except Exception as error:  # each of Pillow's formats raises errors of its own
        raise _damaged(error, size, form) from error


class PixelsError(ValueError):
    """Pixels that cannot be shown: of more than 8 bits, whose white nobody knows, or of a mode without way to RGB."""


def pixel_limit() -> int:
    """The most pixels that a picture may have: MAX_PIXELS, or what the environment variable of LIMIT_VARIABLE says.

    Raises:
        ConfigError: the variable is no number from 1 to PILLOW_REFUSES.
    """
    given = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not given:
        return MAX_PIXELS
    if not given.isdecimal() or not 1 <= int(given[:12]) <= PILLOW_REFUSES:
        raise ConfigError(
            f"{LIMIT_VARIABLE}: expected a number of pixels from 1 to {PILLOW_REFUSES}, beyond which Pillow refuses "
            f"pictures; got '{given[:40]}'. Mend or unset it."
        )
    return int(given)


def picture_bytes(path: str | Path) -> bytes:
    """The content of a picture's file.

    Raises:
        OSError: it cannot be read, is no regular file, or has over MAX_FILE_BYTES.
    """
    with regular_file(path) as file:
        return file.read(MAX_FILE_BYTES)


def regular_file(path: str | Path) -> IO[bytes]:
    """A regular file, open for reading; pipes and devices are never waited for.

    Raises:
        OSError: there is none, it may not be read, is something else, or has over MAX_FILE_BYTES; with its name.
    """
    try:
        _require_regular(os.stat(path), path)
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller's to close
    except ValueError as error:  # a NUL in the path, or letters that no file's name has
        raise FileNotFoundError(2, f"no path ({error})", str(path)) from error
    _require_regular(os.fstat(file.fileno()), path)
    return file


def unreadable_file(error: OSError) -> PictureError:
    """Why a picture's file cannot be read."""
    path, said = str(error.filename), error.strerror or str(error)
    if "://" in path:
        sentence = "was not fetched: set allow_urls to true (--allow_urls), or put the picture into a file."
        return PictureError(MISSING, f"'{path}' was not fetched", sentence)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return PictureError(MISSING, f"'{path}' is not there", "not found. Mend the path, or leave it out.")
    if isinstance(error, PermissionError):
        sentence = f"cannot be read: {said}. Give this user the right to read it, or leave it out."
        return PictureError(DENIED, f"'{path}': {said}", sentence)
    return PictureError(UNREADABLE, f"'{path}': {said}", f"cannot be read: {said}. Replace it or leave it out.")


def what_it_is(head: bytes) -> str:
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
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "an HEIC photo: save it as JPEG"
    for marks, what in _FOREIGN:
        if head.startswith(marks):
            return what
    if b"\x00" not in head:
        try:
            head[:40].decode()
        except UnicodeDecodeError as error:
            return "text" if error.start > 36 else "no known format"
        return "text"  # not which: a row may name any file, and reports are given away
    return "no known format"


@contextmanager
def _opened_bytes(stored: str | Path | bytes | bytearray) -> Iterator[IO[bytes]]:
    if isinstance(stored, bytes | bytearray):
        yield BytesIO(stored)
        return
    with regular_file(stored) as file:
        yield file


def _read_head(file: IO[bytes], max_pixels: int) -> Image.Image:
    """The picture with its head read, by the first format that takes it; as `Image.open` does, without its limit."""
    head = file.read(HEAD_BYTES)
    for name, (factory, accept) in _openers().items():
        if not _takes(accept, head[:16]):
            continue
        _require_size(_declared_size(name, head, file), max_pixels, name)
        file.seek(0)
        try:
            image = factory(file, "")
        except SyntaxError as error:
            if accept is None:  # it looks at every file, and says so of those that are not its own
                continue
            raise _damaged_head(error, name) from error
        except Image.DecompressionBombError as error:  # of what is larger inside than its head says
            raise _too_large(str(error).partition("(")[2].partition(")")[0], max_pixels, (0, 0), name) from error
        except Exception as error:
            raise _damaged_head(error, name) from error
        _require_size(image.size, max_pixels, name)
        _require_size(_largest_tile(image), max_pixels, name)
        _require_few_scans(image, file)
        return image
    what = what_it_is(head)
    raise PictureError(UNREADABLE, what, f"is no picture that Pillow can read ({what}). Replace it or leave it out.")


def _takes(accept: Any, mark: bytes) -> bool:
    """Whether a plug-in takes files that begin so; those without a test of their own look at every file."""
    try:
        return accept is None or accept(mark) is True
    except IndexError:  # shorter than any mark
        return False


@functools.cache
def _openers() -> dict[str, tuple[Any, Any]]:
    Image.init()
    return {name: Image.OPEN[name] for name in FORMATS if name in Image.OPEN}


def _declared_size(name: str, head: bytes, file: IO[bytes]) -> tuple[int, int]:
    """Width and height of formats whose plug-ins decode, or reserve memory for all pixels, as soon as they open."""
    try:
        if name == "WEBP":
            return _webp_size(head)
        if name == "ICO":
            return _icon_size(head, file)
    except struct.error:  # cut, which the plug-in says
        pass
    return (0, 0)


def _webp_size(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        wide, high = (struct.unpack("<I", head[place : place + 3] + b"\0")[0] + 1 for place in (24, 27))
        return wide, high
    if kind == b"VP8L":
        bits = struct.unpack("<I", head[21:25])[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    wide, high = struct.unpack("<HH", head[26:30])
    return wide & 0x3FFF, high & 0x3FFF


def _icon_size(head: bytes, file: IO[bytes]) -> tuple[int, int]:
    """The largest picture inside an icon, whatever its directory says of it."""
    largest = (0, 0)
    for number in range(min(struct.unpack("<H", head[4:6])[0], (len(head) - 6) // 16)):
        file.seek(struct.unpack("<I", head[18 + 16 * number : 22 + 16 * number])[0])
        inner = file.read(24)
        if inner.startswith(b"\x89PNG"):
            size = struct.unpack(">II", inner[16:24])
        elif inner[:4] == b"\x0c\0\0\0":
            size = struct.unpack("<HH", inner[4:8])
        else:
            size = tuple(map(abs, struct.unpack("<ii", inner[4:12])))
        largest = max(largest, (size[0], size[1]), key=lambda one: one[0] * one[1])
    return largest


def _largest_tile(image: Image.Image) -> tuple[int, int]:
    """Width and height of the tiles of a TIFF, each of which is decoded whole, even outside of the picture."""
    tags = getattr(image, "tag_v2", None) or {}
    sides = [tags.get(tag, 0) for tag in (322, 323)]  # TileWidth, TileLength
    return (sides[0], sides[1]) if all(isinstance(side, int) for side in sides) else (0, 0)


def _require_size(size: tuple[int, int], max_pixels: int, form: str) -> None:
    if size[0] * size[1] > max_pixels:
        raise _too_large(f"{size[0]} x {size[1]} pixels", max_pixels, size, form)


def _too_large(pixels: str, max_pixels: int, size: tuple[int, int], form: str) -> PictureError:
    advice = f"Save it smaller, or raise the limit for every command by {LIMIT_VARIABLE}."
    return PictureError(TOO_LARGE, pixels, f"has {pixels}, over the limit of {max_pixels:,}. {advice}", size, form)


def _require_few_scans(image: Image.Image, file: IO[bytes]) -> None:
    if image.format not in ("JPEG", "MPO") or not image.info.get("progressive"):
        return
    place = file.tell()
    file.seek(0)
    scans = file.read(MAX_FILE_BYTES).count(b"\xff\xda")
    file.seek(place)
    if scans > MOST_SCANS:
        reason = f"{scans:,} scans, each of which goes over all pixels"
        sentence = f"has {reason}; at most {MOST_SCANS} are read. Save it again."
        raise PictureError(TOO_LARGE, reason, sentence, image.size, "JPEG")


def _damaged_head(error: Exception, form: str) -> PictureError:
    said = f" ({error})" if str(error) and not isinstance(error, SyntaxError) else ""
    return _damaged(ValueError(f"cut off or damaged in its head{said}"), (0, 0), form)


def _damaged(error: Exception, size: tuple[int, int], form: str) -> PictureError:
    said = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        said = "it asks for more memory than there is"
    reason = f"{form}: {said}" if form else said
    return PictureError(TRUNCATED, reason, f"is damaged: {said}. Replace it or leave it out.", size, form)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_regular(found: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = next((words for matches, words in _SPECIAL if matches(found.st_mode)), "something else")
        raise OSError(22, f"expected a file, got {what}", str(path))
    if found.st_size > MAX_FILE_BYTES:
        raise OSError(27, f"it has {found.st_size:,} bytes, and a picture at most {MAX_FILE_BYTES:,}", str(path))
