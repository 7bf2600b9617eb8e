"""Store tensors on disk by content key: whole shards, verified when read, within a size limit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ConfigError, MachineError
from sightline.runs import cache_folder, write_bytes, write_text

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger("sightline")

KINDS = ("features", "references")
SHARD_BYTES = 64 * 2**20
ENTRY_BYTES = 128  # what a key and its place in a shard's header take
DEFAULT_LIMIT_GIB = 20.0
SECONDS_BEFORE_LEFTOVER = 3600  # a shard takes seconds to write; an older partial file has lost its writer

_ABOUT = "about.json"


class TensorStore:
    """Tensors of one kind and namespace, by key.

    A namespace names all that the tensors depend on besides their keys (weights, processor, precision). New tensors
    are collected until they fill a shard; a shard's name is the hash of its bytes, so a damaged one is found when it
    is first read, removed with a message, and its tensors count as missing. Writers never touch each other's shards.

    Args:
        about: what the namespace is, for `sightline cache list`.
    """

    def __init__(self, kind: str, namespace: str, about: dict[str, Any]) -> None:
        self._about = about
        self._new: dict[str, Tensor] = {}
        self._new_bytes = 0
        self._shard_of: dict[str, Path] = {}
        self._indexed: set[Path] = set()
        self._open: dict[Path, Any] = {}
        self._full = False
        self.folder = Path(os.devnull)
        try:
            self.folder = cache_folder() / kind / namespace
        except MachineError as error:
            self._stop(str(error))
        self.refresh()

    def __contains__(self, key: str) -> bool:
        return key in self._new or key in self._shard_of

    def __len__(self) -> int:
        return len(self._new.keys() | self._shard_of.keys())

    def get(self, key: str) -> Tensor | None:
        """The tensor stored under `key`, on the CPU, or None."""
        if key in self._new:
            return self._new[key]
        path = self._shard_of.get(key)
        if path is None or not self._verified(path):
            return None
        tensor: Tensor = self._open[path].get_tensor(key)
        return tensor

    def put(self, key: str, tensor: Tensor) -> None:
        """Stores a copy of `tensor` under `key`; what is there already stays."""
        if key in self or self._full:
            return
        self._new[key] = tensor.detach().cpu().contiguous().clone()
        self._new_bytes += tensor.numel() * tensor.element_size() + ENTRY_BYTES
        if self._new_bytes >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what is collected as a shard; after it returns, a crash loses none of it."""
        if not self._new:
            return
        from safetensors.torch import save

        try:
            if not self._has_room():
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / _ABOUT).exists():
                write_text(self.folder / _ABOUT, json.dumps(self._about, indent=2) + "\n")
            content = save(self._new)
            path = write_bytes(self.folder / f"{_digest(content)}.safetensors", content)
        except OSError as error:
            self._stop(f"{self.folder} cannot be written: {error}. Name another folder by SIGHTLINE_CACHE.")
            return
        self._index(path, self._new)
        self._new, self._new_bytes = {}, 0

    def refresh(self) -> None:
        """Takes in the shards that others have written since; nothing where the folder may not be read."""
        try:
            shards = _shards_in(self.folder)
        except OSError as error:  # another user's
            self._stop(f"{self.folder} cannot be read: {error}. Name another folder by SIGHTLINE_CACHE.")
            return
        for path in shards:
            if path in self._indexed:
                continue
            keys = _shard_keys(path)
            if keys is None:
                _discard(path, "its header cannot be read")
            else:
                self._index(path, keys)

    def _index(self, path: Path, keys: Any) -> None:
        self._indexed.add(path)
        self._shard_of.update(dict.fromkeys(keys, path))

    def _verified(self, path: Path) -> bool:
        """Whether the shard is what its name says; looked at once, then open."""
        if path in self._open:
            return True
        from safetensors import SafetensorError, safe_open

        try:
            if _digest(path.read_bytes()) == path.stem:
                self._open[path] = safe_open(path, framework="pt")
                with contextlib.suppress(OSError):  # a shared folder that may only be read
                    os.utime(path)  # the limit removes what was used longest ago
                return True
            _discard(path, "its content is not what was written")
        except FileNotFoundError:
            pass  # another process removed it to make room
        except OSError as error:  # another user's, or too many files are open: not the shard's fault
            logger.warning("Stored shard %s cannot be read (%s); what it holds is computed again.", path, error)
        except SafetensorError as error:
            _discard(path, str(error))
        self._shard_of = {key: shard for key, shard in self._shard_of.items() if shard != path}
        return False

    def _has_room(self) -> bool:
        """Whether the limit leaves room for what is collected, after removing what others used longest ago."""
        limit = limit_bytes()
        shards = sorted(_all_shards(), key=lambda shard: shard[2])
        total = sum(size for _, size, _ in shards) + self._new_bytes
        for path, size, _ in shards:
            if total <= limit:
                break
            if path.parent != self.folder:
                path.unlink(missing_ok=True)
                total -= size
        if total > limit:
            self._stop(
                f"{cache_folder()} would exceed its limit of {limit / 2**30:.1f} GiB. Raise SIGHTLINE_CACHE_GIB, or "
                "make room by `sightline cache clear`."
            )
        return total <= limit

    def _stop(self, why: str) -> None:
        """Stores nothing more, said once; what is on disk stays readable, and the run goes on computing the rest."""
        if not self._full:
            logger.warning("Nothing more is stored: %s", why)
        self._full = True
        self._new, self._new_bytes = {}, 0


@dataclass(frozen=True)
class StoreSummary:
    """One namespace on disk.

    Attributes:
        shards: files.
        entries: tensors in readable shards.
        used: time of the latest use, seconds since the epoch.
        damaged: names of shards whose content is not what was written; None where content was not looked at.
        about: what the namespace is.
    """

    kind: str
    namespace: str
    shards: int
    entries: int
    bytes: int
    used: float
    damaged: tuple[str, ...] | None
    about: dict[str, Any]


def limit_bytes() -> int:
    """The most that all stores together may take: `SIGHTLINE_CACHE_GIB`, by default 20 GiB.

    Raises:
        ConfigError: the variable is no number.
    """
    given = os.environ.get("SIGHTLINE_CACHE_GIB")
    try:
        limit = float(given or DEFAULT_LIMIT_GIB)
        if not limit >= 0:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"SIGHTLINE_CACHE_GIB: expected a number of GiB; got '{given}'. Set it to 20, say, or leave it out."
        ) from None
    return sys.maxsize if math.isinf(limit) else int(limit * 2**30)


def list_stores(verify: bool = False) -> list[StoreSummary]:
    """Every namespace on disk, largest first; `verify` reads each shard whole and finds damaged ones."""
    summaries = []
    for kind in KINDS:
        for folder in sorted((cache_folder() / kind).glob("*/")):
            shards = _shards_in(folder)
            damaged = tuple(path.name for path in shards if not _is_whole(path)) if verify else None
            keys = [_shard_keys(path) or () for path in shards if path.name not in (damaged or ())]
            stats = [path.stat() for path in shards]
            summaries.append(
                StoreSummary(
                    kind=kind,
                    namespace=folder.name,
                    shards=len(shards),
                    entries=len({key for names in keys for key in names}),
                    bytes=sum(stat.st_size for stat in stats),
                    used=max((stat.st_mtime for stat in stats), default=folder.stat().st_mtime),
                    damaged=damaged,
                    about=_read_about(folder),
                )
            )
    return sorted(summaries, key=lambda summary: -summary.bytes)


def remove_damaged(summary: StoreSummary) -> None:
    """Removes the damaged shards of a namespace, to be computed again, and files that a crash left half written.

    In a shared folder that may only be read they stay, with a message; no run reads them.
    """
    folder = cache_folder() / summary.kind / summary.namespace
    for name in summary.damaged or ():
        _discard(folder / name, "its content is not what was written")
    for partial in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):  # its writer put it in its place meanwhile, or it may not be removed
            if time.time() - partial.stat().st_mtime > SECONDS_BEFORE_LEFTOVER:
                partial.unlink(missing_ok=True)


def clear_stores(kind: str | None = None) -> int:
    """Removes all stores, or those of one kind; returns the bytes that became free."""
    freed = 0
    for name in KINDS if kind is None else (kind,):
        for folder in (cache_folder() / name).glob("*/"):
            for file in [*_shards_in(folder), *folder.glob(".*.partial"), folder / _ABOUT]:
                freed += file.stat().st_size if file.exists() else 0
                file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a running command writes there again
                folder.rmdir()
    return freed


def _shard_keys(path: Path) -> list[str] | None:
    """The keys in a shard's header (8 bytes of length, then JSON): none of a file that may not be read, None where
    it is damaged."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                return None
            header = json.loads(file.read(length))
    except OSError:  # removed meanwhile, or another user's
        return []
    except ValueError:
        return None
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        return None
    return [key for key in header if key != "__metadata__"]


def _is_whole(path: Path) -> bool:
    return _digest(path.read_bytes()) == path.stem


def _shards_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file())


def _discard(path: Path, why: str) -> None:
    done = "It is removed"
    try:
        path.unlink(missing_ok=True)
    except OSError:
        done = "It may not be removed, and is not read"
    logger.warning("Stored shard %s is damaged (%s). %s; what it held is computed again.", path, why, done)


def _all_shards() -> Iterator[tuple[Path, int, float]]:
    """Path, bytes and time of latest use of every shard of every store."""
    for kind in KINDS:
        for path in (cache_folder() / kind).glob("*/*.safetensors"):
            if path.is_dir():
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # another process removed it
            yield path, stat.st_size, stat.st_mtime


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
