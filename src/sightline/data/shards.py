"""Samples of WebDataset tar files, read from the front without unpacking them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sightline.errors import DataError

Row = dict[str, Any]

PICTURES = {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"}


def read_shards(paths: Iterable[str]) -> Iterator[Row]:
    """A row for each sample: its picture as `image` (several as `images`), the keys of its JSON, its text as `caption`.

    Files of one sample share their name up to the first point and lie one after another.

    Raises:
        DataError: no tar file, or a broken sample; with shard and sample.
    """
    for path in paths:
        sample: dict[str, bytes] = {}
        key = ""
        for name, content in _members(Path(path)):
            stem, _, extension = PurePosixPath(name).name.partition(".")
            here = str(PurePosixPath(name).with_name(stem))
            if sample and here != key:
                yield _row(key, sample, path)
                sample = {}
            key = here
            sample[extension.lower()] = content
        if sample:
            yield _row(key, sample, path)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: expected a tar file of samples, got one that ends or breaks: {error}.") from error


def _row(key: str, sample: dict[str, bytes], path: str) -> Row:
    name = f"{Path(path).name} sample {key}"
    row: Row = {}
    pictures = []
    for extension, content in sample.items():
        if extension.rpartition(".")[2] in PICTURES:
            pictures.append({"bytes": content, "path": f"{PurePosixPath(key).name}.{extension}"})
        elif extension == "json":
            row |= _json_object(content, name)
        else:
            row["caption" if extension == "txt" else extension] = _text(content, name, extension)
    if len(pictures) == 1:
        row["image"] = pictures[0]
    elif pictures:
        row["images"] = pictures
    return row | {"key": key}


def _json_object(content: bytes, name: str) -> Row:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise DataError(f"{name}: no valid JSON ({error}). Mend the shard, or drop the sample.") from error
    if not isinstance(found, dict):
        raise DataError(f"{name}: expected a JSON object of columns, got {str(found)[:60]}. Mend the shard.")
    return {column: value for column, value in found.items() if column not in ("image", "images")}


def _text(content: bytes, name: str, extension: str) -> str:
    try:
        return content.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: .{extension} is neither a picture nor text in UTF-8. Leave it out of the shard."
        ) from error
