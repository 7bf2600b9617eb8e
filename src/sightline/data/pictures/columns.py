"""Normalise image columns without opening images: resolve paths, decode base64, download allowed URLs."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from PIL.Image import Image as OpenImage

from sightline.data.pictures.fetched import UrlError, fetch_picture
from sightline.data.pictures.images import IMAGE_COLUMNS, remember_refusal
from sightline.data.pictures.records import decoded_base64, is_base64, named_picture, refuse_address
from sightline.data.sources.answers import written_list
from sightline.data.sources.column_names import OWN_NAMES, ColumnNames
from sightline.data.sources.kept_rows import dataset_of_pictures
from sightline.errors import DataError
from sightline.secrets import remember_address

if TYPE_CHECKING:
    from datasets import Dataset

Record = dict[str, Any]

READ_ROWS = 64  # at once: each may hold pictures
FETCHERS = 8  # threads; a server answers in tens of milliseconds
PICTURE_HEADS = (
    b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\x00", b"MM\x00*", b"BM", b"\x00\x00\x00\x20ftyp",
)  # fmt: skip
SHOWN_MODES = (None, "RGB", "RGBA")  # of `datasets.Image`: those that change nothing that is shown


@dataclass(frozen=True)
class PictureAccess:
    """Where the pictures of rows may come from, and what the rows call their columns.

    Attributes:
        image_folder: what relative paths count from; by default the folder of the rows' file, or `images` in it.
        allow_urls: fetch pictures that rows name by https address.
        keep_missing: leave paths to no file and addresses in their rows, for a check to count, instead of refusing the
            first.
        gather: read columns of other names, and pictures inside messages, into `image` or `images`. A benchmark's own
            reader knows its columns.
        skip_bad_rows: as `keep_missing`; and of streams, lines, records and cut tar shards, leave out what cannot be
            read, and say so.
        columns: names of the rows' own, given before pictures are looked for.
        noted: where it is listed why lines, records and the ends of shards are left out, in place of being said.
    """

    image_folder: str | None = None
    allow_urls: bool = False
    keep_missing: bool = False
    gather: bool = True
    skip_bad_rows: bool = False
    columns: ColumnNames = OWN_NAMES
    noted: list[str] | None = None


class PictureFinder:
    """Pictures of one source, each distinct one looked up once."""

    def __init__(self, folder: Path, access: PictureAccess, *others: Path) -> None:
        """Paths count from `folder`, or `images` in it; where they lead nowhere from there, from the other folders."""
        self.skip_bad_rows, self.noted = access.skip_bad_rows, access.noted
        self.allow_urls, self.keep_missing = access.allow_urls, access.keep_missing or access.skip_bad_rows
        if access.image_folder is None:
            own = dict.fromkeys(place.absolute() for place in (folder, *others))
            self.folders: tuple[Path, ...] = tuple(place for one in own for place in (one, one / "images"))
        else:
            given = Path(access.image_folder).expanduser().absolute()
            if not given.is_dir():
                raise DataError(f"image_folder: there is no folder {given}. Paths count from {Path.cwd()}.")
            self.folders = (given,)
        self._known: dict[str, Record] = {}

    def place(self, candidates: Iterable[str]) -> str:
        """The first candidate that is a file, as an absolute path; the first of all where none is."""
        named = list(candidates)
        found = (str(folder / name) for name in named for folder in self.folders if os.path.isfile(folder / name))
        return next(found, named[0])

    def has(self, name: str) -> bool:
        """Whether a file of this name is in one of the folders."""
        return any(os.path.isfile(folder / name) for folder in self.folders)

    def shows(self, name: str) -> bool:
        """Whether a file of this name is in one of the folders and begins as a picture does."""
        path = next((path for folder in self.folders if os.path.isfile(path := folder / name)), None)
        if path is None:
            return False
        try:
            with open(path, "rb") as file:
                return file.read(16).startswith(PICTURE_HEADS)
        except OSError:
            return False

    def record(self, value: Any, name: str) -> Any:
        """A picture as `{"bytes", "path"}`, a flat list of them for a list, None where there is none, as in "" and NaN.

        With `keep_missing`, what names none stands in its row for whoever opens it to refuse.

        Raises:
            DataError: no such file, no base64, a record without a key that names a picture, or an address that may not
                or cannot be fetched; begins with `name`.
        """
        try:
            return self._record(value, name)
        except DataError as error:
            if not self.keep_missing:
                raise
            return refused_picture(value, error, name)

    def _record(self, value: Any, name: str) -> Any:
        if isinstance(value, list | tuple):
            return [one for part in value for one in _flat(self.record(part, name))]
        if isinstance(value, dict):
            stored = isinstance(value.get("bytes"), bytes)
            return value if stored else self.record(named_picture(value, name), name)
        if isinstance(value, bytes | OpenImage):
            content = value if isinstance(value, bytes) else _encoded(value)
            return {"bytes": content, "path": None} if content else None
        if not isinstance(value, str):
            return _none_or_refuse(value, name)
        return self._named(value, name) if value.strip() else None

    def _named(self, value: str, name: str) -> Any:
        """The picture that a text names, or those of a list in a cell of CSV, as pandas writes them."""
        if value[0] in "[{" and not self.has(value) and (written := written_list(value)) is not value:
            return self.record(written, name)
        if value not in self._known:
            found = self._read(value, name)
            if found["bytes"] is not None:
                return found  # kept by the row itself
            self._known[value] = found
        return self._known[value]

    def fetch_all(self, values: Iterable[Any]) -> None:
        """Fetch the addresses among the values side by side; those that fail are reported by `record`."""
        flat = (one for value in values for one in (value if isinstance(value, list) else [value]))
        flat = (next(iter(one.values()), None) if isinstance(one, dict) and len(one) == 1 else one for one in flat)
        addresses = {one for one in flat if isinstance(one, str) and one.startswith("https://")} - self._known.keys()
        if not self.allow_urls or not addresses:
            return
        with ThreadPoolExecutor(FETCHERS) as threads:
            for address, path in zip(addresses, threads.map(_fetched, addresses), strict=True):
                if path is not None:
                    self._known[address] = {"bytes": None, "path": path}

    def _read(self, value: str, name: str) -> Record:
        if value.startswith("data:") or is_base64(value):
            text = value.partition(",")[2] if value.startswith("data:") else value
            try:
                return {"bytes": decoded_base64(text, name), "path": None}
            except DataError as error:
                if not self.keep_missing:
                    raise
                remember_refusal(text.encode(), str(error).removeprefix(f"{name}: "))
                return {"bytes": text.encode(), "path": None}  # for the check to refuse with its row
        if value.lower().startswith("file:"):
            value = _local_path(value, name)
        is_address = "://" in value
        try:
            return {"bytes": None, "path": self._fetch(value, name) if is_address else self._find(value, name)}
        except DataError as error:
            if not self.keep_missing:
                raise
            place = value if is_address else str(self.folders[0] / value)
            remember_refusal(place, str(error).removeprefix(f"{name}: "))
            return {"bytes": None, "path": place}

    def _find(self, value: str, name: str) -> str:
        for folder in self.folders:
            if os.path.isfile(folder / value):  # False where Path.is_file raises: a text of thousands of characters
                return str(folder / value)
        if any(os.path.exists(folder / value) for folder in self.folders):
            raise DataError(f"{name}: expected a file, got '{value[:200]}', which is a folder, a pipe or a device.")
        link = next((folder / value for folder in self.folders if os.path.islink(folder / value)), None)
        if link is not None:
            raise DataError(
                f"{name}: image '{value[:200]}' is a link to {os.readlink(link)}, which is not there. Mend the link or "
                "drop the row."
            )
        raise DataError(
            f"{name}: image '{value[:200]}' not found in {self.folders[0]}. "
            "Paths count from the file's folder, or from image_folder; mend the path or drop the row."
        )

    def _fetch(self, address: str, name: str) -> str:
        remember_address(address)  # whatever becomes of it, nobody repeats its signature
        if not self.allow_urls:
            refuse_address(address, name)
        try:
            return str(fetch_picture(address))
        except UrlError as error:
            raise DataError(f"{name}: {error}") from error


def beside(file: Path) -> tuple[Path, ...]:
    """The folder of what a file is a link to, whose pictures may lie beside it; none where it is no link."""
    return (file.resolve().parent,) if file.is_symlink() else ()


def refused_picture(value: Any, error: DataError, name: str) -> Record:
    """What stands in place of a picture that is none, which repeats why when it is opened; `error` names the row."""
    content = f"no picture: {value!r:.1000}".encode()
    remember_refusal(content, str(error).removeprefix(f"{name}: "))
    return {"bytes": content, "path": None}


def open_columns(
    dataset: Dataset, finder: PictureFinder, name_of: Any, columns: Iterable[str] = IMAGE_COLUMNS
) -> Dataset:
    """The dataset with these columns as lazy `datasets.Image` features, every distinct picture looked up.

    `image` with lists of pictures becomes `images`. `name_of` gives the name of the row at an index.

    Raises:
        DataError: a picture cannot be found.
    """
    from datasets import Image, concatenate_datasets

    order = dataset.column_names
    for column in [name for name in order if name in columns]:
        kind = dataset.features[column]
        if is_opened(kind):
            continue
        if _is_stored(kind) and not _names_files(dataset.data.column(column)):
            dataset = dataset.cast_column(column, Image())
            continue
        finder.fetch_all(_values(dataset, column))
        names = map(name_of, itertools.count())
        listed = (_is_listed(value, finder, name) for value, name in zip(_values(dataset, column), names, strict=False))
        several = column == "images" or any(listed)
        target = "images" if column == "image" and several and "images" not in order else column
        records = (finder.record(value, name_of(index)) for index, value in enumerate(_values(dataset, column)))
        opened = dataset_of_pictures(target, records, several)
        if len(dataset.column_names) > 1:
            opened = concatenate_datasets([dataset.remove_columns(column), opened], axis=1)
        dataset = opened
        order = [target if name == column else name for name in order]
    return dataset.select_columns(order)


def _values(dataset: Any, column: str) -> Iterator[Any]:
    """The values of a column, of which a few are in memory at once."""
    for batch in dataset.select_columns([column]).iter(READ_ROWS):
        yield from batch[column]


def _is_listed(value: Any, finder: PictureFinder, name: str) -> bool:
    """Whether a value is a list of pictures, or a text that pandas wrote such a list into."""
    if isinstance(value, str):
        return value[:1] in ("[", "{") and isinstance(finder.record(value, name), list)
    return isinstance(value, list) or (isinstance(value, dict) and isinstance(finder.record(value, name), list))


def is_opened(kind: Any) -> bool:
    """Whether a feature is `datasets.Image`, or a list of them."""
    from datasets import Image, List

    return isinstance(kind, Image) or (isinstance(kind, List) and isinstance(kind.feature, Image))


def _is_stored(kind: Any) -> bool:
    """Whether a column holds encoded pictures already, as bytes or as records of bytes and path."""
    from datasets import Value

    binary = (Value("binary"), Value("large_binary"))
    return kind in binary or (isinstance(kind, dict) and set(kind) == {"bytes", "path"} and kind["bytes"] in binary)


def _names_files(column: Any) -> bool:
    """Whether some record of a column has a path in place of bytes, counted from the rows' folder; seen in Arrow."""
    import pyarrow
    import pyarrow.compute as compute

    for chunk in column.chunks if pyarrow.types.is_struct(column.type) else ():
        bare = compute.and_(compute.is_null(chunk.field("bytes")), compute.is_valid(chunk.field("path")))
        if compute.any(bare).as_py():
            return True
    return False


def _fetched(address: str) -> str | None:
    try:
        return str(fetch_picture(address))
    except UrlError:
        return None


def _flat(value: Any) -> list[Any]:
    """The pictures of one entry of a list: an entry of nothing leaves no gap."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _local_path(address: str, name: str) -> str:
    """The path of a file: address, as Qwen's rows have them."""
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{name}: expected a file of this machine, got '{address[:200]}'. Write its path.")
    return unquote(parts.path)


def _encoded(image: OpenImage) -> bytes:
    """An open picture as PNG, which keeps its pixels and mode; a mode that PNG lacks as TIFF."""
    content = BytesIO()
    image.save(content, format="PNG" if image.mode in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA") else "TIFF")
    return content.getvalue()


def _none_or_refuse(value: Any, name: str) -> None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return
    raise DataError(f"{name}: expected an image (a path, base64, or bytes), got {type(value).__name__}. Mend the row.")


def close_images(dataset: Any) -> Any:
    """The dataset with its images as paths and bytes, so that reading a row opens none."""
    for column, feature in (dataset.features or {}).items():
        closed = _closed(feature)
        if closed is not feature:
            dataset = dataset.cast_column(column, closed)
    return dataset


def _closed(feature: Any) -> Any:
    """The feature with every picture in it closed, itself where there is none or all are."""
    import datasets

    if isinstance(feature, datasets.Image):
        if feature.decode and feature.mode not in SHOWN_MODES:
            raise DataError(
                f"Expected pictures as they are stored, got a column of datasets.Image(mode='{feature.mode}'), whose "
                "pictures change when they are opened. Cast it to Image(), and store pictures of that mode instead."
            )
        return datasets.Image(decode=False) if feature.decode else feature
    if isinstance(feature, datasets.List):
        inner = _closed(feature.feature)
        return feature if inner is feature.feature else datasets.List(inner)
    if isinstance(feature, dict):
        parts = {key: _closed(part) for key, part in feature.items()}
        return feature if all(parts[key] is feature[key] for key in feature) else parts
    return feature
