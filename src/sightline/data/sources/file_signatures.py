"""Short hashes of files and folders by their content: of large files by samples, for keys of what is made of them."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from sightline.runs import BEGUN, ENVIRONMENT

WHOLE_BYTES = 2**20  # a file of up to so many is read whole
SAMPLES, SAMPLE_BYTES = 64, 2**14  # of a larger one
MODEL_SUFFIXES = (".json", ".safetensors", ".bin", ".jinja", ".model", ".txt")
RUN_FILES = (BEGUN, ENVIRONMENT, "results.json", "route.json", "trainer_state.json")


def file_signature(path: str | Path) -> str:
    """A key of a file's content without reading a large one whole: times, inode, size, and samples of its bytes.

    The time of change (ctime) is set by every writing, and no program can set it back, as it can that of modification.
    """
    stat = os.stat(path)
    stamps = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    return hashlib.blake2b(f"{stamps} {content_sample(path)}".encode(), digest_size=16).hexdigest()


def content_sample(path: str | Path) -> str:
    """A key of a file's size and content, of a large one in samples: the same wherever and whenever it was copied."""
    size = os.stat(path).st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with open(path, "rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
        else:
            for number in range(SAMPLES):
                file.seek(number * (size - SAMPLE_BYTES) // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def folder_signature(folder: Path, left_out: Collection[str]) -> str:
    """A key of the files below a folder: names of those whose suffix is left out, and content of the others."""
    parts = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        known = path.suffix.lower().lstrip(".") in left_out
        parts.append((str(path.relative_to(folder)), "" if known else file_signature(path)))
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def places_signature(*places: Any) -> str:
    """A key of the files at paths, folders and patterns, alone, in lists or by split; empty where none is here."""
    found = [
        file_signature(path)
        for text in _texts(places)
        for path in ([text] if os.path.exists(text) else sorted(glob.glob(text)))  # a name may hold what patterns do
        if os.path.isfile(path)
    ]
    found += [folder_signature(Path(text), ()) for text in _texts(places) if os.path.isdir(text)]
    return hashlib.blake2b(repr(found).encode(), digest_size=16).hexdigest() if found else ""


def model_files(name: str) -> dict[str, str]:
    """The files of a model's folder by samples of their content; of a Hub id its name."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return {"of": name}
    files = sorted(path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES and path.is_file())
    return {path.name: content_sample(path)[:8] for path in files if path.name not in RUN_FILES}


def _texts(places: Any) -> Iterator[str]:
    if isinstance(places, str | Path):
        yield os.path.expanduser(places)
    for inner in places.values() if isinstance(places, dict) else places if isinstance(places, list | tuple) else ():
        yield from _texts(inner)
