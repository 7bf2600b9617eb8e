"""Short hashes of files, folders, rows and our own code, for cache keys; large files are sampled."""

from __future__ import annotations

import functools
import glob
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.runs import BEGUN, ENVIRONMENT

if TYPE_CHECKING:
    from datasets import Dataset

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
    """The files of a model's folder by samples of their content; of a Hub id its name; a file by itself."""
    folder = Path(name).expanduser()
    if folder.is_file():
        return {folder.name: content_sample(folder)[:8]}
    if not folder.is_dir():
        return {"of": name}
    files = sorted(path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES and path.is_file())
    return {path.name: content_sample(path)[:8] for path in files if path.name not in RUN_FILES}


def _texts(places: Any) -> Iterator[str]:
    if isinstance(places, str | Path):
        yield os.path.expanduser(places)
    for inner in places.values() if isinstance(places, dict) else places if isinstance(places, list | tuple) else ():
        yield from _texts(inner)


BATCH_ROWS = 1000
END_BYTES = 256  # of an encoded picture, from either end: heads, and sums over the content in PNG


def rows_signature(dataset: Dataset, by_name: bool = False) -> str:
    """Equal for equal rows in equal order. Of a picture its file's name and size count, or its bytes' length and ends.

    A picture may lie elsewhere than before: a dataset that was moved is the same.

    Args:
        by_name: of a picture's file the name alone counts, so that it may be gone, or cut.
    """
    digest = hashlib.blake2b(digest_size=16)
    named = _Files(_name if by_name else _name_and_size)
    for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
        for name in sorted(table.column_names):
            digest.update(name.encode())
            _add(digest, table[name].combine_chunks(), named)
    return digest.hexdigest()


def _add(digest: Any, column: Any, named: _Files) -> None:
    """Adds a column, whose pictures are records of bytes and path, alone or in lists."""
    import pyarrow
    import pyarrow.compute as compute

    kind = column.type
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        if _are_pictures(kind.value_type):
            _add_plain(digest, compute.list_value_length(column))
            _add(digest, column.flatten(), named)
            return
    elif _are_pictures(kind):
        content, path = compute.struct_field(column, "bytes"), compute.struct_field(column, "path")
        _add_plain(digest, compute.binary_length(content))
        _add_plain(digest, compute.binary_slice(content, 0, END_BYTES))
        _add_plain(digest, compute.binary_slice(content, -END_BYTES))
        distinct = path.dictionary_encode()
        _add_plain(digest, distinct.indices)
        for one in distinct.dictionary.to_pylist():
            digest.update(named[one].encode())
        return
    _add_plain(digest, column)


def _are_pictures(kind: Any) -> bool:
    """Whether a column holds pictures as `datasets` stores them; records of users may have the same names."""
    import pyarrow

    if not pyarrow.types.is_struct(kind) or {field.name for field in kind} != {"bytes", "path"}:
        return False
    content, path = kind.field("bytes").type, kind.field("path").type
    return pyarrow.types.is_binary(content) and pyarrow.types.is_string(path)


def _add_plain(digest: Any, column: Any) -> None:
    import pyarrow

    digest.update(pyarrow.record_batch([column], names=["column"]).serialize())


class _Files(dict[str, str]):
    """What of each picture's file counts, looked up once."""

    def __init__(self, look: Callable[[str], str]) -> None:
        super().__init__()
        self._look = look

    def __missing__(self, path: str) -> str:
        self[path] = found = self._look(path)
        return found


def _name(path: str) -> str:
    return f"{Path(path).name}\n"


def _name_and_size(path: str) -> str:
    try:
        return f"{Path(path).name} {Path(path).stat().st_size}\n"
    except (OSError, ValueError):  # an address, or a file that is missing
        return _name(path)


_PACKAGE = Path(__file__).resolve().parents[2]
_LAYERS = ("data", "engine", "models")  # whose code decides what a row, a picture or a prompt becomes


@functools.cache
def encoding_version() -> str:
    """A hash of Sightline's version and of the code that turns rows and pictures into tensors.

    Nobody has to remember to raise a number: a changed rule (how transparency is laid on white, say) is a new version,
    and what an older one stored is computed again.
    """
    digest = hashlib.blake2b(_release().encode(), digest_size=16)
    for path in sorted(path for layer in _LAYERS for path in (_PACKAGE / layer).rglob("*.py")):
        digest.update(f"\n{path.relative_to(_PACKAGE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _release() -> str:
    try:
        return importlib.metadata.version("sightline")
    except importlib.metadata.PackageNotFoundError:  # code that was never installed is known by itself
        return ""
