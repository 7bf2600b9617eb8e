"""Files of weights get the rights that the umask gives: safetensors (0.8) writes them for their owner alone."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def give_usual_rights(folder: Path) -> None:
    """Lets whoever may read what else is written in the folder read its safetensors, and those of further adapters."""
    usual = _usual_rights(folder)
    for path in [*folder.glob("*.safetensors"), *folder.glob("*/adapter_model.safetensors")]:
        with contextlib.suppress(OSError):  # a file system without rights, or a file of another user
            if stat.S_IMODE(path.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR:
                path.chmod(usual)


def _usual_rights(folder: Path) -> int:
    """Those of a new file there; the umask can only be read by changing it, which other threads would see."""
    probe = folder / f".rights.{os.getpid()}.partial"
    try:
        probe.touch()
        return stat.S_IMODE(probe.stat().st_mode)
    finally:
        probe.unlink(missing_ok=True)
