"""Find columns that hold images by their type, their name and their first values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from PIL.Image import Image as OpenImage

from sightline.data.pictures.columns import PICTURE_HEADS
from sightline.data.pictures.images import IMAGE_COLUMNS
from sightline.data.pictures.records import is_base64
from sightline.data.sources.answers import written_list

SAMPLED = 20
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jfif", ".ppm", ".pgm", ".avif", ".heic",
)  # fmt: skip
# Columns whose words are read, and those that number rows; a file's name in them is no picture.
WORDS = frozenset(
    "messages conversations prompt completion chosen rejected question answer answers caption captions text label "
    "labels options choices id index idx question_id system tools source split category kind rejected_response "
    "rejected_messages rejected_conversations origin_dataset origin_split objects boxes hint explanation "
    "rationale texts instruction response problem solution history".split()
)
_NAMED = re.compile(
    r"(?:[a-z0-9]+_)*(?:images?|imgs?|pictures?|photos?|pics?|screenshots?|figures?|visuals?|jpe?g|png|webp)"
    r"(?:_?(?:paths?|files?|file_?names?|names?|urls?|links?|uris?|src|bytes|base64|b64|data|list))?(?:_?\d+)?"
    r"|file_?(?:name|path)s?|media",
    re.IGNORECASE,
)
# Names of which each value counts as a picture, though it neither ends as one nor is there: a mistake to be told.
_SURE = re.compile(
    r"(?:images?|imgs?|pictures?|photos?)(?:_?(?:paths?|files?|file_?names?|urls?|bytes|base64|b64))?(?:_?\d+)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(.*?)_?(\d+)")
_RECORDS = frozenset({"bytes", "path"})


class Finder(Protocol):
    """What knows where pictures lie."""

    def has(self, name: str) -> bool:
        """Whether a file of this name is there."""
        ...

    def shows(self, name: str) -> bool:
        """Whether a file of this name is there, and begins as a picture does."""
        ...


def picture_columns(samples: Mapping[str, Sequence[Any]], finder: Finder) -> list[str]:
    """The columns, but image and images, whose sampled values (none of them None) are pictures."""
    return [
        column
        for column, values in samples.items()
        if column not in IMAGE_COLUMNS and column not in WORDS and _are_pictures(column, values, finder)
    ]


def buried_pictures(samples: Mapping[str, Sequence[Any]]) -> list[str]:
    """The columns whose sampled values hold pictures in a form that is not read: in records of other things, or as
    arrays of numbers under a picture's name."""
    return [
        column
        for column, values in samples.items()
        if column not in IMAGE_COLUMNS
        and column not in WORDS
        and any(_is_buried(value, bool(_SURE.fullmatch(column))) for value in values[:SAMPLED])
    ]


def series(columns: Iterable[str]) -> dict[str, list[str]]:
    """Columns by what they are called without their number, each in the order of their numbers.

    >>> series(["image_2", "image_1", "photo"])
    {'image': ['image_1', 'image_2'], 'photo': ['photo']}
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for column in columns:
        match = _NUMBER.fullmatch(column)
        stem, number = (match.group(1), int(match.group(2))) if match and match.group(1) else (column, -1)
        found.setdefault(stem, []).append((number, column))
    return {stem: [column for _, column in sorted(numbered)] for stem, numbered in found.items()}


def _are_pictures(column: str, values: Sequence[Any], finder: Finder) -> bool:
    read = [written_list(value) if str(value)[:1] in ("[", "{") else value for value in values]
    flat = [one for value in read for one in (value if isinstance(value, list) else [value])]
    filled = [one for one in flat if one is not None and one != "" and one != b""]
    if not filled:
        return False
    named = bool(_NAMED.fullmatch(column))
    sure = bool(_SURE.fullmatch(column))
    return all(_is_picture(value, named, sure, finder) for value in filled[:SAMPLED])


def _is_picture(value: Any, named: bool, sure: bool, finder: Finder) -> bool:
    if isinstance(value, OpenImage):
        return True
    if isinstance(value, bytes):
        return named or value.startswith(PICTURE_HEADS)
    if isinstance(value, dict):
        keys = {key for key, inner in value.items() if inner is not None}
        return bool(keys) and (set(value) == _RECORDS or (named and not keys - {*_RECORDS, "url", "src", "file_name"}))
    return isinstance(value, str) and _is_written(value.strip(), named, sure, finder)


def _is_buried(value: Any, sure: bool) -> bool:
    if isinstance(value, list) and value:
        rows = value[0] if isinstance(value[0], list) else []
        pixel = rows[0] if rows else None
        return (sure and isinstance(pixel, int | float | list)) or _is_buried(value[0], sure)
    if not isinstance(value, dict) or set(value) == _RECORDS:
        return False
    records = [inner for inner in value.values() if isinstance(inner, dict) and set(inner) == _RECORDS]
    return any(isinstance(record["bytes"], bytes) or record["path"] for record in records)


def _is_written(text: str, named: bool, sure: bool, finder: Finder) -> bool:
    """Whether a text is a picture's path, address or base64."""
    if text.startswith("data:image") or is_base64(text):
        return True
    if "\n" in text:
        return False
    if text.lower().partition("?")[0].endswith(SUFFIXES):
        return named or "://" in text or " " not in text or finder.has(text)
    if not named:
        return not re.search(r"\s", text) and finder.shows(text)
    return (sure and not re.search(r"\s", text)) or "://" in text or finder.has(text)
