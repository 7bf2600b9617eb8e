"""Read VLMEvalKit's TSV files of any size: one pass notes where each image is, none stays in memory."""

from __future__ import annotations

import binascii
import csv
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL.Image import Image

from sightline.data.pictures.columns import beside
from sightline.data.pictures.images import open_image, stored_key
from sightline.data.sources.column_names import OWN_NAMES, ColumnNames, new_names, require_names
from sightline.data.sources.stored import FilePicture, Row
from sightline.data.sources.text_files import VALUE_BYTES, allow_long_cells, plain_text, row_stem
from sightline.errors import DataError
from sightline.types import Picture

REFERENCE_CHARACTERS = 64
"""An image cell of at most so many characters is the index of the row that holds the picture (VLMEvalKit's rule)."""

_DATA_ADDRESS = re.compile(r"\Adata:[^,]{0,99};base64,", re.IGNORECASE)
LONGEST_CELL = VALUE_BYTES // 4  # csv buffers a cell with 4 bytes a character, that of an unclosed quote, too


@dataclass(frozen=True)
class TsvPicture:
    """A picture in base64 in a cell of a TSV file, read again whenever it is opened.

    Attributes:
        path: the file as plain text.
    """

    path: Path
    offset: int
    column: int
    part: int
    key: str
    name: str

    def open(self) -> Image:
        """The picture, upright, in RGB."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            cells = next(_Records(file, self.path, self.offset)).cells
        return open_image(_decoded(_parts(cells[self.column])[self.part]), self.name)


@dataclass
class _Record:
    """What is known of a row: its text, where its pictures lie, and what is wrong with it."""

    name: str
    cells: dict[str, str]
    pictures: tuple[Picture, ...] = ()
    reference: str = ""
    problem: str = ""


@dataclass(frozen=True)
class TsvTable:
    """The rows of a TSV file; text cells are in memory, pictures in the file.

    A row's `image` cell is a tuple of its pictures; every other cell is text, empty where the file has nothing. So
    options called "None", "NA" or "null" are options.

    Attributes:
        columns: the header.
        md5: of the file's bytes, as publishers name it; of one that is packed or in UTF-16, of its text in UTF-8.
    """

    path: Path
    columns: tuple[str, ...]
    md5: str
    records: tuple[_Record, ...]

    def __len__(self) -> int:
        return len(self.records)

    def row(self, index: int) -> Row:
        """The row at `index`, from 0.

        Raises:
            DataError: the row has too few or too many cells, an index that is taken, or a picture that is none.
        """
        record = self.records[index]
        if record.problem:
            raise DataError(f"{record.name}: {record.problem}")
        return Row(record.name, index + 1, {**record.cells, "image": record.pictures})


def read_tsv(path: Path, names: ColumnNames = OWN_NAMES) -> TsvTable:
    """Every row of a file, bad ones too: those raise when they are asked for; `names` are those of its columns.

    Raises:
        DataError: no header with an `index`, no rows, not in UTF-8, or a quote that is never closed.
    """
    place = plain_text(path)
    with place.open("rb") as file:
        records = _Records(file, path, 0)
        header = next(records, None)
        columns = _columns(header, path, names)
        _check_header(columns, path)
        rows = [_read_record(raw, number, columns, path, place) for number, raw in enumerate(records, start=1)]
        md5 = records.digest.hexdigest()
    if not rows:
        raise DataError(f"{path.name} has a header and no rows. Download it again.")
    _join(rows)
    return TsvTable(path, tuple(columns), md5, tuple(rows))


def has_picture_cells(path: Path, names: ColumnNames = OWN_NAMES) -> bool:
    """Whether a file's header names VLMEvalKit's columns: `index`, `question`, and `image` or `image_path`."""
    with plain_text(path).open("rb") as file:
        columns = set(_columns(next(_Records(file, path, 0), None), path, names))
    return {"index", "question"} <= columns and bool(columns & {"image", "image_path"})


def _columns(header: _Raw | None, path: Path, names: ColumnNames) -> list[str]:
    found = [] if header is None else [column.removeprefix("\ufeff") for column in header.cells]
    require_names(found, path.name)
    return new_names(found, names, path.name)


@dataclass(frozen=True)
class _Raw:
    offset: int
    cells: list[str]
    problem: str = ""


class _Records:
    """Records of a file from `offset` on, each with the byte it begins at; blank lines are passed over."""

    def __init__(self, file: BinaryIO, path: Path, offset: int) -> None:
        allow_long_cells()
        self.file = file
        self.path = path
        self.offset = offset
        self.digest = hashlib.md5(usedforsecurity=False)

    def __iter__(self) -> Iterator[_Raw]:
        return self

    def __next__(self) -> _Raw:
        start = self.offset
        line = next(self.file)
        while not line.strip(b"\r\n"):
            self._count(line)
            start, line = self.offset, next(self.file)
        # A line without quotes is a record: splitting it takes a fifth of csv's time and none of its wide buffer.
        plain = line.rstrip(b"\r\n")
        if b'"' not in plain and b"\r" not in plain:
            return _Raw(start, self._text(line).rstrip("\r\n").split("\t"))
        try:
            return _Raw(start, next(csv.reader(self._lines(line), delimiter="\t")))
        except csv.Error as error:
            return self._broken(start, str(error))

    def _broken(self, start: int, error: str) -> _Raw:
        if "field limit" in error:
            raise DataError(
                f"{self.path.name}: the row that begins at byte {start} has a cell of more than {LONGEST_CELL:,} "
                "characters. Most likely a quote is opened there and never closed: double the quotes in cells."
            )
        return _Raw(start, [], f"no row of a TSV file ({error}). Put quotes around cells with line breaks.")

    def _lines(self, first: bytes) -> Iterator[str]:
        """Lines as csv asks for them, one at a time, so `offset` is where the next record begins."""
        yield self._text(first)
        for line in self.file:
            yield self._text(line)

    def _text(self, line: bytes) -> str:
        before = self.offset
        self._count(line)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.path.name} is not encoded in UTF-8 ({error.reason} at byte {before + error.start}). Convert it."
            ) from error

    def _count(self, line: bytes) -> None:
        self.digest.update(line)
        self.offset += len(line)


def _check_header(columns: list[str], path: Path) -> None:
    if "index" not in columns:
        raise DataError(
            f"{path.name}: expected a header line with the column index (and image, question, answer), separated by "
            f"tabs; found {', '.join(columns)[:200] or 'nothing'}. Add it, or convert the rows to JSONL."
        )
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{path.name}: the header names {', '.join(twice)} more than once. Rename one of the columns.")


def _read_record(raw: _Raw, number: int, columns: list[str], path: Path, place: Path) -> _Record:
    name = f"{path.name} row {number}"
    if raw.problem:
        return _Record(name, {}, problem=raw.problem)
    if len(raw.cells) != len(columns):
        what = f"expected {len(columns)} cells as the header has, got {len(raw.cells)}"
        return _Record(name, {}, problem=f"{what}. Put quotes around cells with tabs or line breaks.")
    cells = dict(zip(columns, raw.cells, strict=True))
    image = cells.pop("image", "")
    record = _Record(f"{name} (index {cells['index'][:60]})", cells)
    try:
        if not image:
            record.pictures = _file_pictures(cells.get("image_path", ""), path, record.name)
        elif len(image) <= REFERENCE_CHARACTERS:
            record.reference = image
        else:
            record.pictures = _base64_pictures(image, raw.offset, columns.index("image"), place, record.name)
    except (binascii.Error, ValueError) as error:
        record.problem = f"the image is no base64 ({error}). Download the file again."
    except OSError as error:
        record.problem = f"{error}. Put the pictures there, or mend the column image_path."
    return record


def _base64_pictures(cell: str, offset: int, column: int, path: Path, name: str) -> tuple[Picture, ...]:
    return tuple(
        TsvPicture(path, offset, column, number, stored_key(_decoded(part)), name)
        for number, part in enumerate(_parts(cell))
    )


def _file_pictures(cell: str, path: Path, name: str) -> tuple[Picture, ...]:
    """Pictures of an `image_path` cell; paths count from the file's folder, or from `images/NAME` in it, or from the
    same of what the file is a link to."""
    pictures = []
    for part in _parts(cell) if cell else []:
        folders = (path.parent, *beside(path))
        places = [one for folder in folders for one in (folder / part, folder / "images" / row_stem(path) / part)]
        place = next((place for place in places if os.path.isfile(place)), None)
        if place is None:
            raise FileNotFoundError(f"image '{part[:200]}' not found in {places[0].parent} or {places[1].parent}")
        pictures.append(FilePicture(place, stored_key(place), name))
    return tuple(pictures)


def _parts(cell: str) -> list[str]:
    """The cell itself, or the elements of a Python list written into it."""
    if cell.startswith("[") and cell.endswith("]"):
        return [first or second for first, second in re.findall(r"'([^']*)'|\"([^\"]*)\"", cell)]
    return [cell]


def _decoded(part: str) -> bytes:
    return binascii.a2b_base64(_DATA_ADDRESS.sub("", part, count=1))


def _join(rows: list[_Record]) -> None:
    """Give rows that refer to another row's picture that picture, and mark indices that were used before."""
    first: dict[str, _Record] = {}
    for row in rows:
        index = row.cells.get("index")
        if index is None:
            continue
        if index in first:
            row.problem = f"the index {index[:60]} is that of {first[index].name} already. Give each row its own."
        first.setdefault(index, row)
    for row in (row for row in rows if row.reference):
        holder = first.get(row.reference)
        if holder is None or holder.reference or not holder.pictures:
            row.problem = row.problem or (
                f"expected an image in base64 or the index of a row that has one, got '{row.reference}'. "
                "Mend the cell, or the row it names."
            )
            continue
        row.pictures = holder.pictures
