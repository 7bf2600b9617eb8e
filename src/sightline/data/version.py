"""The version of our data processing, part of every key under which a result is stored."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
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
