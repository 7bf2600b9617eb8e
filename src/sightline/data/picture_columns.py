"""Image columns as closed pictures: paths found, base64 decoded, web addresses fetched where that is allowed."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.images import IMAGE_COLUMNS
from sightline.data.urls import UrlError, fetch_picture
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Record = dict[str, Any]

FETCHERS = 8  # threads; a server answers in tens of milliseconds
# How base64 of a JPEG, PNG, GIF, WebP, BMP or TIFF begins; no path of so many characters does.
BASE64_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "Qk0", "SUkq", "TU0A")
SHORTEST_BASE64 = 60


@dataclass(frozen=True)
class PictureAccess:
    """Where the pictures of rows may come from.

    Attributes:
        image_folder: what relative paths count from; by default the folder of the rows' file, or `images` in it.
        allow_urls: fetch pictures that rows name by https address.
        keep_missing: leave paths to no file and addresses in their rows, for a check to count, instead of refusing the
            first.
    """

    image_folder: str | None = None
    allow_urls: bool = False
    keep_missing: bool = False


class PictureFinder:
    """Pictures of one source, each distinct one looked up once."""

    def __init__(self, folder: Path, access: PictureAccess) -> None:
        self.allow_urls, self.keep_missing = access.allow_urls, access.keep_missing
        if access.image_folder is None:
            own = folder.absolute()
            self.folders: tuple[Path, ...] = (own, own / "images")
        else:
            given = Path(access.image_folder).expanduser().absolute()
            if not given.is_dir():
                raise DataError(f"image_folder: there is no folder {given}. Paths count from {Path.cwd()}.")
            self.folders = (given,)
        self._known: dict[str, Record] = {}

    def place(self, candidates: Iterable[str]) -> str:
        """The first candidate that is a file, as an absolute path; the first of all where none is."""
        named = list(candidates)
        found = (str(folder / name) for name in named for folder in self.folders if (folder / name).is_file())
        return next(found, named[0])

    def record(self, value: Any, name: str) -> Any:
        """A picture as `{"bytes", "path"}`, a list of them for a list, None for None.

        Raises:
            DataError: no such file, no base64, or an address that may not or cannot be fetched; begins with `name`.
        """
        if isinstance(value, list):
            return [self.record(one, name) for one in value]
        if isinstance(value, bytes):
            return {"bytes": value, "path": None}
        if isinstance(value, dict) and value.get("bytes") is not None:
            return value
        if isinstance(value, dict):
            value = value.get("path")
        if value is None or not isinstance(value, str):
            return _none_or_refuse(value, name)
        if value not in self._known:
            found = self._read(value, name)
            if found["bytes"] is not None:
                return found  # kept by the row itself
            self._known[value] = found
        return self._known[value]

    def fetch_all(self, values: Iterable[Any]) -> None:
        """Fetch the addresses among the values side by side; those that fail are reported by `record`."""
        flat = (one for value in values for one in (value if isinstance(value, list) else [value]))
        addresses = {one for one in flat if isinstance(one, str) and one.startswith("https://")} - self._known.keys()
        if not self.allow_urls or not addresses:
            return
        with ThreadPoolExecutor(FETCHERS) as threads:
            for address, path in zip(addresses, threads.map(_fetched, addresses), strict=True):
                if path is not None:
                    self._known[address] = {"bytes": None, "path": path}

    def _read(self, value: str, name: str) -> Record:
        if value.startswith("data:"):
            return {"bytes": _decoded(value.partition(",")[2], name), "path": None}
        if len(value) >= SHORTEST_BASE64 and value.startswith(BASE64_STARTS):
            return {"bytes": _decoded(value, name), "path": None}
        if "://" in value or value.startswith("file:"):
            return {"bytes": None, "path": self._fetch(value, name)}
        for folder in self.folders:
            if os.path.isfile(folder / value):  # False where Path.is_file raises: a text of thousands of characters
                return {"bytes": None, "path": str(folder / value)}
        if self.keep_missing:
            return {"bytes": None, "path": str(self.folders[0] / value)}
        raise DataError(
            f"{name}: image '{value[:200]}' not found in {self.folders[0]}. "
            "Paths count from the file's folder, or from image_folder; mend the path or drop the row."
        )

    def _fetch(self, address: str, name: str) -> str:
        if not self.allow_urls and self.keep_missing:
            return address
        if not self.allow_urls:
            raise DataError(
                f"{name}: expected a picture on this machine, got the address '{address[:200]}'. Nothing is fetched "
                "unless you say so: set allow_urls to true (--allow_urls), or put the picture into a file."
            )
        try:
            return str(fetch_picture(address))
        except UrlError as error:
            if self.keep_missing:
                return address
            raise DataError(f"{name}: {error}") from error


def open_columns(dataset: Dataset, finder: PictureFinder, name_of: Any) -> Dataset:
    """The dataset with its image columns as lazy `datasets.Image` features, every distinct picture looked up.

    `image` with lists of pictures becomes `images`. `name_of` gives the name of the row at an index.

    Raises:
        DataError: a picture cannot be found.
    """
    from datasets import Image, List

    order = dataset.column_names
    for column in (name for name in order if name in IMAGE_COLUMNS):
        kind = dataset.features[column]
        if isinstance(kind, Image) or (isinstance(kind, List) and isinstance(kind.feature, Image)):
            continue
        if _is_stored(kind):
            dataset = dataset.cast_column(column, Image())
            continue
        values = dataset[column][:]
        finder.fetch_all(values)
        records = [finder.record(value, name_of(index)) for index, value in enumerate(values)]
        several = column == "images" or any(isinstance(value, list) for value in records)
        if several:
            records = [value if value is None or isinstance(value, list) else [value] for value in records]
        target = "images" if column == "image" and several and "images" not in order else column
        # Added before the other is removed: a table whose last column goes forgets how many rows it has.
        feature = List(Image()) if several else Image()
        dataset = dataset.add_column(f"{column} (opened)", records, feature=feature).remove_columns(column)
        dataset = dataset.rename_column(f"{column} (opened)", target)
        order = [target if name == column else name for name in order]
    return dataset.select_columns(order)


def _is_stored(kind: Any) -> bool:
    """Whether a column holds encoded pictures already, as bytes or as records of bytes and path."""
    from datasets import Value

    binary = (Value("binary"), Value("large_binary"))
    return kind in binary or (isinstance(kind, dict) and set(kind) == {"bytes", "path"} and kind["bytes"] in binary)


def _fetched(address: str) -> str | None:
    try:
        return str(fetch_picture(address))
    except UrlError:
        return None


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise DataError(f"{name}: the image is no base64 ({error}): '{text[:40]}...'. Encode it again.") from error


def _none_or_refuse(value: Any, name: str) -> None:
    if value is not None:
        raise DataError(
            f"{name}: expected an image (a path, base64, or bytes), got {type(value).__name__}. Mend the row."
        )


def close_images(dataset: Any) -> Any:
    """The dataset with its images as paths and bytes, so that reading a row opens none."""
    import datasets

    for column, feature in (dataset.features or {}).items():
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(column, datasets.Image(decode=False))
        elif isinstance(feature, datasets.List) and isinstance(feature.feature, datasets.Image):
            dataset = dataset.cast_column(column, datasets.List(datasets.Image(decode=False)))
    return dataset
