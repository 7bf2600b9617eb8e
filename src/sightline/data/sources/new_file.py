"""Write a new file or folder completely or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sightline.disks import LockedError, locked, take
from sightline.errors import ConfigError, RunFolderError
from sightline.runs import short_name


@dataclass(frozen=True)
class NewFile:
    """What is written meanwhile.

    Attributes:
        file: takes bytes.
        folder: where pictures go; the writer makes it.
    """

    file: BinaryIO
    folder: Path


def picture_folder(out: Path) -> Path:
    """The folder of a file's pictures, beside it."""
    return out.with_name(f"{out.stem}_images")


@contextmanager
def new_file(out: Path) -> Iterator[NewFile]:
    """A file and a picture folder that take their places when all is written, and vanish when that fails.

    They have one hidden name for each `out`, of a length that any file system takes; so what a killed process left
    there is found, and written over.

    Raises:
        ConfigError: another process writes `out`, or has written it meanwhile.
    """
    short = short_name(out)
    partial, folder = out.with_name(f".{short}.partial"), out.with_name(f".{short}_images")
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(partial, "ab") as file:
        _own(file, partial, out)
        try:
            file.truncate(0)
            shutil.rmtree(folder, ignore_errors=True)
            yield NewFile(file, folder)
            file.flush()
            os.fsync(file.fileno())
            if folder.is_dir():
                folder.rename(picture_folder(out))
            partial.rename(out)
        finally:
            partial.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def _own(file: BinaryIO, partial: Path, out: Path) -> None:
    if not take(file.fileno()):
        raise ConfigError(f"OUT: another process is writing {out}. Wait for it, or name another file.")
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), partial.stat()):  # not what another process has renamed since
            if not out.exists():
                return
            partial.unlink()
    raise ConfigError(f"OUT: {out} is there already. Name another file, or remove it.")


def require_new(out: Path) -> None:
    """Nothing for a folder that is missing or empty. Raises RunFolderError where it holds something, or is a file."""
    if out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RunFolderError(f"{out} holds something already. Choose another folder, or empty it.")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its place when all is written, and vanishes when that fails.

    It has one name for each `out`; so what a killed process left there is found, and removed.

    Raises:
        RunFolderError: `out` holds something.
        ConfigError: another process writes it.
    """
    require_new(out)
    short = short_name(out)
    staging, lock = out.with_name(f".{short}.partial"), out.with_name(f".{short}.lock")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(lock):
            try:
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                yield staging
                require_new(out)
                staging.rename(out)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
                lock.unlink(missing_ok=True)
    except LockedError as error:
        raise ConfigError(f"OUT: another process is writing {out}. Wait for it, or name another folder.") from error
