"""Name the pictures of made rows: files where they lie, seen from the output's folder; bytes as files beside it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sightline.data.pictures.images import encoded_format
from sightline.data.sources.stored import DatasetPicture
from sightline.runs import write_bytes


class PictureFiles:
    """The pictures of one output file."""

    def __init__(self, output_path: Path) -> None:
        self._folder = output_path.absolute().parent
        self._written = self._folder / f"{output_path.stem}_images"

    def name_of(self, picture: DatasetPicture) -> str:
        """The path of a picture, to be read from the output's folder; bytes are written there first."""
        stored = picture.stored
        if stored["bytes"] is None:
            return os.path.relpath(stored["path"], self._folder)
        suffix = encoded_format(stored["bytes"], picture.name)
        key = hashlib.blake2b(stored["bytes"], digest_size=12).hexdigest()
        path = self._written / f"{key}.{suffix}"
        if not path.exists():
            self._written.mkdir(parents=True, exist_ok=True)
            write_bytes(path, stored["bytes"])
        return os.path.relpath(path, self._folder)
