"""The result of a synthesis: rows, rejected replies, counts; image paths relative to the output file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.pictures.images import encoded_format
from sightline.data.sources.stored import DatasetPicture
from sightline.runs import write_bytes
from sightline.types import Table


@dataclass(frozen=True)
class Made:
    """What was made of a source.

    Attributes:
        rows: for the output file, in the order of the source.
        rejects: replies that could not be used, each with the row it was for and why.
        counts: by name, in the order to show them.
        changes: what a server was asked otherwise than it was meant, as it refuses fields of a request.
    """

    rows: tuple[dict[str, Any], ...]
    rejects: tuple[dict[str, Any], ...]
    counts: Mapping[str, int]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SynthesisResult:
    """A finished run; `record` is what its results.json holds."""

    output_path: Path
    run_folder: Path
    record: Mapping[str, Any]

    def table(self) -> Table:
        """The counts of the run."""
        title = f"{self.record['kind']} by {self.record['model']}: {self.output_path}"
        rows = tuple((name, f"{count:,}") for name, count in self.record["counts"].items())
        return Table(title, ("what", "count"), rows, f"Journal, rejects and record: {self.run_folder}", is_summed=False)


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
