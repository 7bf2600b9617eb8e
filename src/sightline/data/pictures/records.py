"""Read what names an image: a record, a base64 text or an address."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from sightline.errors import DataError

Record = dict[str, Any]

# How base64 of a JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF or JPEG 2000 begins; no path of so many characters does.
BASE64_STARTS = (
    "/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "Qk0", "SUkq", "TU0A", "AAAAIGZ0eXBhdmlm", "AAAAHGZ0eXBhdmlm",
    "AAAAGGZ0eXBhdmlm", "AAAAJGZ0eXBhdmlm", "AAAAKGZ0eXBhdmlm", "AAAALGZ0eXBhdmlm", "AAAADGpQICAN", "/0//UQ",
)  # fmt: skip
SHORTEST_BASE64 = 60
# The keys by which a record names its picture: those of `datasets`, and what people write by hand. The first that is
# filled counts.
RECORD_KEYS = (
    "bytes", "path", "image", "url", "src", "file_name", "filename", "file", "image_url", "image_path", "image_file",
    "img", "picture", "photo", "uri", "href", "base64", "b64", "data", "source", "content",
)  # fmt: skip


def is_base64(text: str) -> bool:
    """Whether a text begins as base64 of a picture does, and is longer than any path."""
    return len(text) >= SHORTEST_BASE64 and text.startswith(BASE64_STARTS)


def refuse_address(value: Any, name: str) -> None:
    """Raise DataError for a picture that is named by an address, or by a record of one."""
    if isinstance(value, dict):
        value = named_picture(value, name)
    if isinstance(value, str) and "://" in value[:64] and not value.lower().startswith("file:"):
        raise DataError(
            f"{name}: expected a picture on this machine, got the address '{value[:200]}'. Nothing is fetched "
            "unless you say so: set allow_urls to true (--allow_urls), or put the picture into a file."
        )


def named_picture(record: Record, name: str) -> Any:
    """What a record names its picture by: the value of the first of RECORD_KEYS that is filled; None for an empty one.

    Raises:
        DataError: it is filled, but by other keys.
    """
    filled = {key: value for key, value in record.items() if value not in (None, "", b"", [])}
    for key in RECORD_KEYS:
        if key not in filled:
            continue
        value = filled[key]
        if key == "bytes" and isinstance(value, str) and not value.startswith("data:"):
            return decoded_base64(value, name)  # as `to_json` of pandas writes them
        if key == "bytes" and isinstance(value, list):
            return _of_numbers(value, name)
        if key in ("base64", "b64", "data") and isinstance(value, str) and "," not in value[:100]:
            return decoded_base64(value, name)
        return value
    if filled:
        raise DataError(
            f"{name}: expected a picture as a record with bytes, path or url, got one with "
            f"{', '.join(map(str, filled))}. Rename the key, or write the path in place of the record."
        )
    return None


def decoded_base64(text: str, name: str) -> bytes:
    """The bytes that a text of base64 stands for. Raises DataError where it is none; begins with `name`."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise DataError(f"{name}: the image is no base64 ({error}): '{text[:40]}...'. Encode it again.") from error


def _of_numbers(values: list[Any], name: str) -> bytes:
    try:
        return bytes(values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name}: expected the bytes of a picture, got other values ({error}). Mend the row."
        ) from error
