"""A folder that appears whole or not at all, written by one process at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.errors import ConfigError, RunFolderError
from sightline.locks import LockedError, locked
from sightline.runs import short_name


def require_new(out: Path) -> None:
    """Nothing for a folder that is missing or empty.

    Raises:
        RunFolderError: it holds something, or is a file.
    """
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
