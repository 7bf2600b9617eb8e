"""Cache of downloaded images: files named by content, found by address."""

from __future__ import annotations

import atexit
import errno
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import MachineError
from sightline.runs import cache_folder, write_bytes
from sightline.secrets import bare_address, names_content

KIND = "pictures"
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)

# By this process: from addresses that nothing without a secret tells apart, or where nothing can be kept.
_fetched_now: dict[str, Path] = {}
_passing: list[Path] = []  # the folder of this process alone, where nothing can be kept


@dataclass(frozen=True)
class FetchedPictures:
    """What lies there.

    Attributes:
        used: time of the latest fetch, seconds since the epoch.
        damaged: names of files whose content is not what was fetched; None where content was not looked at.
    """

    kind: str
    entries: int
    bytes: int
    used: float
    damaged: tuple[str, ...] | None


def find_fetched(address: str) -> Path | None:
    """The picture that an address gave, if it was fetched and is what it was.

    What is signed is found by the address without its signature. Where a secret of another kind may be all that tells
    pictures apart, only this process finds it again: no secret is written, nor a hash of one.
    """
    stored = _fetched_now.get(address)
    if stored is None and names_content(address):
        try:
            stored = _folder() / (_addresses() / _key(address)).read_text(encoding="utf-8")
        except (OSError, MachineError):  # never fetched, or nothing is kept here
            return None
    return stored if stored is not None and stored.is_file() and _is_whole(stored) else None


def keep_fetched(address: str, content: bytes, suffix: str) -> Path:
    """The picture of an address as a file with that suffix; of this process alone where nothing can be kept."""
    name = f"{hashlib.sha256(content).hexdigest()}.{suffix}"
    try:
        _addresses().mkdir(parents=True, exist_ok=True)
        stored = write_bytes(_folder() / name, content)
        if names_content(address):
            write_bytes(_addresses() / _key(address), stored.name.encode())
        else:
            _fetched_now[address] = stored
    except (OSError, MachineError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_WRITABLE:
            raise
        stored = _fetched_now[address] = write_bytes(_passing_folder(error) / name, content)
    return stored


def fetched_folders() -> list[Path]:
    """Where pictures that were fetched lie."""
    try:
        return [_folder(), *_passing]
    except MachineError:
        return list(_passing)


def list_fetched(verify: bool = False) -> FetchedPictures:
    """All pictures fetched; `verify` reads each."""
    files = _files()
    damaged = tuple(file.name for file in files if not _is_whole(file)) if verify else None
    stats = [file.stat() for file in files]
    used = max((stat.st_mtime for stat in stats), default=0.0)
    return FetchedPictures(KIND, len(files), sum(stat.st_size for stat in stats), used, damaged)


def remove_fetched(names: Iterable[str] | None = None) -> int:
    """Removes pictures by name, or all and what they were found by; returns the bytes that became free."""
    files = _files() if names is None else [_folder() / name for name in names]
    freed = sum(file.stat().st_size for file in files)
    for file in [*files, *(_addresses().glob("*") if names is None else ())]:
        file.unlink(missing_ok=True)
    return freed


def _passing_folder(why: Exception) -> Path:
    if not _passing:
        folder = Path(tempfile.mkdtemp(prefix="sightline-pictures-"))
        _passing.append(folder)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        named = why if isinstance(why, MachineError) else f"{why}. Name another folder by SIGHTLINE_CACHE."
        print(f"Pictures from the web are kept for this run alone: {named}", file=sys.stderr)
    return _passing[0]


def _folder() -> Path:
    return cache_folder() / KIND


def _addresses() -> Path:
    return _folder() / "addresses"


def _key(address: str) -> str:
    return hashlib.sha256(bare_address(address).encode()).hexdigest()


def _files() -> list[Path]:
    return sorted(path for path in _folder().glob("[!.]*") if path.is_file())


def _is_whole(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
