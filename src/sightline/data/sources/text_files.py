"""Read text files, packed or not, in the encoding that a mark names, and within bounds of size."""

from __future__ import annotations

import bz2
import codecs
import csv
import functools
import gzip
import io
import lzma
import os
import shlex
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

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
    """Nothing where a file that unpacks to so many bytes may be read. Raises DataError where it may not."""
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
    """The lines of a text. Raises DataError where one is longer than VALUE_BYTES letters; names the line."""
    read: Callable[[], str] = lambda: file.readline(VALUE_BYTES + 1)  # noqa: E731  what iter calls
    for number, line in enumerate(iter(read, ""), start=1):
        require_value(len(line), f"{name} line {number}", "a line")
        yield line


def allow_long_cells() -> None:
    """Let `csv`, whose own limit is 131,072 letters, read cells of up to VALUE_BYTES in its buffer; process-wide."""
    csv.field_size_limit(VALUE_BYTES // 4)


PACKED = (".gz", ".bz2", ".xz", ".zst")
UNPACKED_KINDS = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".token", ".tar")  # which may be packed, too
OTHER_NAMES = {".ndjson": ".jsonl", ".jsonlines": ".jsonl", ".tgz": ".tar"}
HEAD_BYTES = 4096
MARKS = (  # the longer first: UTF-32's begins as UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def row_kind(path: Path) -> str:
    """The suffix that says what a file holds, in small letters and without that of its packing: `.jsonl`."""
    suffix = path.suffix.lower()
    if suffix in PACKED:
        inner = row_kind(path.with_suffix(""))
        return inner if inner in UNPACKED_KINDS else suffix
    return OTHER_NAMES.get(suffix, suffix)


def row_stem(path: Path) -> str:
    """The name of a file without the suffix that `row_kind` tells, and that of its packing: `val` of val.json.gz."""
    return Path(path.stem).stem if path.suffix.lower() in PACKED else path.stem


@contextmanager
def opened_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """The text of a file, unpacked within bounds, in UTF-8 or in what the mark at its start names.

    Raises:
        DataError: it is of another encoding, cut, or unpacks to too much; names the line where that is known.
    """
    encoding = "utf-8-sig"
    try:
        with _unpacked(path) as content:
            head = content.peek(HEAD_BYTES)[:HEAD_BYTES]
            encoding = next((name for mark, name in MARKS if head.startswith(mark)), "utf-8-sig")
            _require_no_zeros(head, encoding, path)
            with io.TextIOWrapper(content, encoding=encoding, newline=newline) as text:
                yield text
    except UnicodeDecodeError as error:
        raise _undecodable(path, encoding, error) from error
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise _no_whole_pack(path, error) from error
    except OSError as error:
        if error.filename is not None or error.errno is not None:
            raise
        raise _no_whole_pack(path, error) from error


def _no_whole_pack(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is no whole packed file: {error}. Copy or write it again.")


def _unpacked(path: Path) -> Any:
    """The bytes of a file; of one that is packed those inside, counted."""
    with path.open("rb") as file:
        head = file.read(6)
    if not _is_packed(path, head):
        return path.open("rb")
    opener = next(opener for mark, opener in COMPRESSED.items() if head.startswith(mark))
    return io.BufferedReader(_Bytes(Unpacked(opener(path, "rb"), path)), HEAD_BYTES * 16)


def plain_text(path: Path) -> Path:
    """A file of the same text in UTF-8 that is not packed: the file itself, or a copy that goes with the process.

    Raises:
        DataError: as `opened_text`.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    marked = any(head.startswith(mark) for mark, name in MARKS if name != "utf-8-sig")
    if not marked and not _is_packed(path, head):
        _require_no_zeros(head, "utf-8-sig", path)
        return path
    status = path.stat()
    return _plain_copy(path.absolute(), status.st_size, status.st_mtime_ns)


@functools.cache
def _plain_copy(path: Path, size: int, changed: int) -> Path:
    copy = Path(_copies().name) / f"{len(os.listdir(_copies().name))}.txt"
    with opened_text(path, newline="") as text, copy.open("w", encoding="utf-8", newline="") as file:
        shutil.copyfileobj(text, file)
    return copy


@functools.cache
def _copies() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sightline-")


def _is_packed(path: Path, head: bytes) -> bool:
    if not any(head.startswith(mark) for mark in COMPRESSED):
        return False
    is_text = head[:6].isascii() and not head.startswith(b"\x1f")  # a column "BZh"
    return path.suffix.lower() in PACKED or not is_text


class _Bytes(io.RawIOBase):
    """What `Unpacked` reads, for Python's own buffers."""

    def __init__(self, content: Unpacked) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._content.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        if not self.closed:
            self._content.__exit__()
        super().close()


def _require_no_zeros(head: bytes, encoding: str, path: Path) -> None:
    """Raise DataError for a start full of zero bytes without the mark of an encoding: every second letter of UTF-16."""
    if encoding != "utf-8-sig" or 5 * head.count(0) < len(head) or not head.count(0):
        return
    even, odd = head[::2].count(0), head[1::2].count(0)
    if 4 * min(even, odd) > max(even, odd):
        raise DataError(f"{path}: expected text, got a file of zero bytes and others. Write it again as text in UTF-8.")
    name = "UTF-16LE" if odd > even else "UTF-16BE"
    raise DataError(
        f"{path}: expected text in UTF-8, or with the mark (BOM) of another encoding; got zero bytes as {name} without "
        f"its mark has them. {_by_iconv(path, name)}"
    )


def _undecodable(path: Path, encoding: str, error: UnicodeDecodeError) -> DataError:
    """What is said of text in another encoding, or cut inside of a letter."""
    if encoding != "utf-8-sig":
        return DataError(f"{path} begins as {encoding.upper()}, but is not ({error.reason}). Copy or write it again.")
    with _unpacked(path) as content:
        number, bad = _first_bad_line(content)
    if bad is None or bad.reason == "unexpected end of data":
        return DataError(
            f"{path} is not encoded in UTF-8 ({error.reason} in line {number}): most likely it is cut. Copy it again."
        )
    return DataError(
        f"{path} is not encoded in UTF-8: line {number} has the byte 0x{bad.object[bad.start]:02X} after "
        f"{bad.object[: bad.start].decode()[-30:]!r}. Most likely it is in Windows-1252 (Latin-1). "
        f"{_by_iconv(path, 'WINDOWS-1252')}"
    )


def _first_bad_line(content: IO[bytes]) -> tuple[int, UnicodeDecodeError | None]:
    number = 0
    for number, line in enumerate(content, start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            return number, error
    return number, None


def _by_iconv(path: Path, encoding: str) -> str:
    return f"Convert it: iconv -f {encoding} -t UTF-8 {shlex.quote(path.name)} > NEW_FILE"
