"""Pictures that may be copied into an output: read whole as pictures, and from the folders of their dataset."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.pictures.columns import PictureAccess, PictureFinder, beside, is_opened
from sightline.data.pictures.fetched import fetched_folders
from sightline.data.pictures.images import read_whole, stored_image
from sightline.data.sources.bad_rows import BadRows
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


class CopyRule:
    """What of a source's pictures is copied.

    A row may name any file of the machine, and whoever is given the output is given what was copied into it. So a
    picture lies below the folder of the dataset, its folder `images`, or `image_folder`, whatever links lead to it.
    """

    def __init__(self, source: str | Path, access: PictureAccess, allow_outside: bool) -> None:
        path = Path(source).expanduser()
        folder = path if path.is_dir() else path.parent
        roots = [folder, *PictureFinder(folder, access, *beside(path)).folders]
        if access.allow_urls:
            roots += fetched_folders()
        self._roots = tuple(dict.fromkeys(_with_snapshots(root.resolve()) for root in roots))
        if not path.exists():  # of the Hub, whose files lie where `datasets` keeps them
            from datasets import config

            self._roots = (Path(config.HF_CACHE_HOME).resolve(), *self._roots[1:])
        self._allow_outside = allow_outside
        self._known: set[str | bytes] = set()

    def require(self, value: Any, name: str) -> None:
        """Nothing for a closed picture that may be copied.

        Raises:
            DataError: it cannot be read, or lies outside of the folders; begins with `name`.
        """
        stored = stored_image(value)
        key = hashlib.blake2b(stored, digest_size=16).digest() if isinstance(stored, bytes) else stored
        if key is None or key in self._known:
            return
        read_whole(stored, name)
        if not isinstance(stored, str):
            self._known.add(key)
            return
        place = Path(stored).resolve()
        if not self._allow_outside and not any(place.is_relative_to(root) for root in self._roots):
            raise DataError(
                f"{name}: image '{stored}' lies outside of {self._roots[0]}, and its content would go into the output. "
                "Name the folder of the pictures by --image_folder, or copy from anywhere by --allow_outside."
            )
        self._known.add(stored)


def closed_pictures(row: dict[str, Any], features: Any) -> list[Any]:
    """Every closed picture in the columns of a row, in whatever column it stands."""
    found: list[Any] = []
    for column, feature in features.items():
        if is_opened(feature) and row.get(column) is not None:
            found += row[column] if isinstance(row[column], list) else [row[column]]
    return found


def find_bad_pictures(dataset: Dataset, rule: CopyRule, name_of: Any, bad: BadRows) -> None:
    """Notes the rows of a dataset (images closed) whose pictures may not be copied, by their indices."""
    columns = [column for column, feature in dataset.features.items() if is_opened(feature)]
    for index, row in enumerate(dataset.select_columns(columns) if columns else ()):
        with bad.of_row(index):
            for value in closed_pictures(row, dataset.features):
                rule.require(value, name_of(index))


def _with_snapshots(root: Path) -> Path:
    """A folder, or for a snapshot of the Hub the folder of its repository, whose `blobs` its files are links to."""
    if "snapshots" in root.parts:
        return Path(*root.parts[: root.parts.index("snapshots")])
    return root
