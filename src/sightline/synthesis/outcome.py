"""What a synthesis made: rows, replies that could not be used, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
