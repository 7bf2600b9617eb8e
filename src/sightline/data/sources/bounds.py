"""Limits of how large a small file may become when it is unpacked or read."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from sightline.errors import DataError

FREE_BYTES = 2**30  # what any file may unpack to, however small
MAX_EXPANSION = 100  # times its own size: text packs to a tenth, a picture that many rows repeat to a fiftieth
VALUE_BYTES = 2**28  # one line, cell, member or part, which is in memory as a whole
MEMORY_BYTES = 2**26  # rows beyond this lie on disk while they are used

COPY_BYTES = 2**20


def _open_zstd(path: Path, mode: str) -> Any:
    import pyarrow

    return pyarrow.input_stream(str(path), compression="zstd")


COMPRESSED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"\x28\xb5\x2f\xfd": _open_zstd,
}  # fmt: skip


class Unpacked:
    """The bytes of a packed file, counted as they are read.

    Raises:
        DataError: when more came than `most_bytes` allows.
    """

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path, self._count = stream, path, 0
        self._most = most_bytes(path)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        content: bytes = self._stream.read(min(size, COPY_BYTES) if size >= 0 else COPY_BYTES)
        while size < 0 or len(content) < size:
            more = self._stream.read(COPY_BYTES if size < 0 else min(COPY_BYTES, size - len(content)))
            if not more:
                break
            content += more
            self._check(len(content))
        self._count += len(content)
        self._check(0)
        return content

    def _check(self, beside: int) -> None:
        if self._count + beside > self._most:
            raise too_much(self._path, self._most)

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stream.close()


def most_bytes(path: Path) -> int:
    """How many bytes a file may unpack to."""
    return max(FREE_BYTES, MAX_EXPANSION * path.stat().st_size)


def too_much(path: Path, most: int) -> DataError:
    """What is said of a file that unpacks to more than `most` bytes."""
    return DataError(
        f"{path}: expected at most {most / 2**30:.1f} GiB from a file of {path.stat().st_size / 2**20:.1f} MiB (1 GiB, "
        f"or {MAX_EXPANSION} times its size), got more. If that is what it should hold, write it in several files, or "
        "as JSONL that is not compressed."
    )


def require_bytes(count: int, path: Path) -> None:
    """Nothing where a file that unpacks to so many bytes may be read.

    Raises:
        DataError: it may not.
    """
    most = most_bytes(path)
    if count > most:
        raise too_much(path, most)


def require_value(count: int, name: str, what: str) -> None:
    """Nothing where a value of so many bytes may be read into memory.

    Raises:
        DataError: it may not; `name` is its file and place.
    """
    if count > VALUE_BYTES:
        raise DataError(
            f"{name}: expected {what} of at most {VALUE_BYTES / 2**20:.0f} MiB, got {count / 2**20:,.0f} MiB. Most "
            "likely the file is damaged: write it again, or leave this out."
        )


def require_packed(path: Path) -> None:
    """Nothing where a packed file, which another library is to read, unpacks to what `most_bytes` allows.

    Raises:
        DataError: it does not; nothing was kept of it.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            require_bytes(sum(member.file_size for member in archive.infolist()), path)
        return
    with open(path, "rb") as file:
        head = file.read(6)
    opener = next((opener for magic, opener in COMPRESSED.items() if head.startswith(magic)), None)
    if opener is None:
        return
    try:
        with Unpacked(opener(path, "rb"), path) as stream:
            while stream.read(COPY_BYTES):
                pass
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise DataError(f"{path} is no whole packed file: {error}. Copy or write it again.") from error


def lines_of(file: TextIO, name: str) -> Iterator[str]:
    """The lines of a text.

    Raises:
        DataError: one is longer than VALUE_BYTES letters; names the line.
    """
    read: Callable[[], str] = lambda: file.readline(VALUE_BYTES + 1)  # noqa: E731  what iter calls
    for number, line in enumerate(iter(read, ""), start=1):
        require_value(len(line), f"{name} line {number}", "a line")
        yield line


def allow_long_cells() -> None:
    """Let `csv`, whose own limit is 131,072 letters, read cells of up to VALUE_BYTES in its buffer; process-wide."""
    csv.field_size_limit(VALUE_BYTES // 4)
