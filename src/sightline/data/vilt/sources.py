"""Read files of captions, questions and sentences as plain records, and find their images."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.data.pictures.columns import beside
from sightline.data.pictures.images import image_size
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.column_names import OWN_NAMES, ColumnNames, renamed_rows, with_known_names
from sightline.data.sources.folders import require_arrow_end
from sightline.data.sources.json_rows import good_records, row_in
from sightline.data.sources.text_files import opened_text
from sightline.errors import ConfigError, DataError
from sightline.notation import NotationError, read_json as parse_json

# An encoded picture, or the path of its file.
Picture = str | bytes
Record = dict[str, Any]


@dataclass(frozen=True)
class PictureCheck:
    """How rows are looked at while they are read: each distinct picture once, and what is wrong is noted row by row.

    Attributes:
        measure: a picture's width and height, or DataError with the row's name: from its head, or `read_whole`.
        sizes: those of the pictures that can be used.
        columns: names given to the columns of rows before they are read.
    """

    bad: BadRows = field(default_factory=BadRows)
    measure: Callable[[Picture, str], tuple[int, int]] = image_size
    sizes: dict[Picture, tuple[int, int]] = field(default_factory=dict)
    columns: ColumnNames = OWN_NAMES
    _refused: dict[Picture, str] = field(default_factory=dict)

    def require(self, picture: Picture, row: str) -> None:
        """Nothing for a picture that can be used. Raises DataError where it cannot, which begins with the row."""
        if picture not in self.sizes and picture not in self._refused:
            try:
                self.sizes[picture] = self.measure(picture, row)
            except DataError as error:
                self._refused[picture] = str(error).removeprefix(row)
        if picture in self._refused:
            raise DataError(f"{row}{self._refused[picture]}")


@dataclass(frozen=True)
class PictureFolder:
    """Where pictures lie.

    Attributes:
        folders: what paths count from.
    """

    folders: tuple[Path, ...]
    check: PictureCheck

    def find(self, path: str, row: str, *others: str) -> str:
        """The path of a picture as an existing file: `path`, or else the first of `others` that is there.

        Raises:
            DataError: none is, or it is no picture that can be used; begins with the row.
        """
        for folder, candidate in itertools.product(self.folders, (path, *others)):
            found = str(folder / candidate)
            if os.path.isfile(found):  # False where Path.is_file raises: a text of thousands of characters
                self.check.require(found, row)
                return found
        raise DataError(
            f"{row}: image '{path[:200]}' not found in {self.folders[0]}. Paths count from the file's folder, or from "
            "--image_folder; mend the path or drop the row."
        )


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises DataError where it is no text or no JSON."""
    try:
        return parse_json(_text(path), unique=True, for_table=True)
    except NotationError as error:
        raise DataError(f"{path}: expected JSON, got {error}. Mend or convert the file.") from error


def read_records(path: Path, check: PictureCheck) -> dict[str, Record]:
    """The records of a JSONL file, or of a JSON file that holds a list of them, by the names of their rows.

    Lines and elements that are no objects are noted.
    """
    records = _records(path, check.bad)
    rows = with_known_names(renamed_rows(records.values(), check.columns, path.name), path.name)
    return dict(zip(records, rows, strict=True)) if records else {}


def require_own_names(check: PictureCheck, path: Path) -> None:
    """Nothing where the columns of a file, which all are called alike that are published so, are not to be renamed.

    Raises:
        ConfigError: they are.
    """
    if check.columns:
        raise ConfigError(
            f"columns: {path} is a published file, whose names are known. Leave {check.columns} out, or name rows as "
            ".jsonl or a list in .json."
        )


def _records(path: Path, bad: BadRows) -> dict[str, Record]:
    text = _text(path)
    if text.lstrip().startswith("["):
        content = read_json(path)
        good_records(content, path, bad)
        return {name: row for name, row in _named(path, content) if isinstance(row, dict)}
    records: dict[str, Record] = {}
    count = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        count += 1
        name = f"{path.name} row {count}"
        with bad.of_row(name):
            records[name] = row_in(line, f"{path.name} line {number}")
    return records


def _named(path: Path, rows: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{path.name} row {index + 1}", row) for index, row in enumerate(rows))


def text_of(record: Record, column: str, name: str) -> str:
    """The text in a column of a row; an empty one where nothing stands there.

    Raises:
        DataError: a value of another kind; begins with the row's name.
    """
    value = record.get(column)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{name}: expected a text in {column}, got {value!r:.60}. Mend or drop the row.")
    return value or ""


def label_of(record: Record, column: str, name: str, default: str) -> str:
    """What a column calls a row: a text or a whole number; the default where nothing stands there.

    Raises:
        DataError: a value of another kind; begins with the row's name.
    """
    value = record.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise DataError(f"{name}: expected a text or a number in {column}, got {value!r:.60}. Mend or drop the row.")
    return default if value is None else str(value)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without empty ones."""
    return [line for line in _text(path).split("\n") if line.strip()]


def read_arrow(path: Path) -> Iterator[Record]:
    """The records of one of the authors' Arrow files; pictures are encoded bytes.

    Raises:
        DataError: no Arrow file.
    """
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as source:
            for batch in _batches(pyarrow, source, path):
                batch.validate(full=True)
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DataError(f"{path}: expected an Arrow file as ViLT's authors write it, got {error}.") from error


def _batches(pyarrow: Any, source: Any, path: Path) -> Iterator[Any]:
    """Record batches of the file format, or of the stream format."""
    try:
        reader = pyarrow.ipc.open_file(source)
    except pyarrow.ArrowInvalid:
        require_arrow_end(path)
        source.seek(0)
        yield from pyarrow.ipc.open_stream(source)
        return
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)


def require_file(path: str | Path) -> Path:
    """The path, which is an existing file. Raises DataError where there is none."""
    found = Path(path).expanduser()
    if not found.is_file():
        if found.is_symlink():
            raise DataError(f"{path} is a link to {found.readlink()}, which is not there. Mend it, or copy the file.")
        raise DataError(f"There is no file {path}. Paths count from {Path.cwd()}.")
    return found


def pictures_beside(path: Path, image_folder: str | None, check: PictureCheck) -> PictureFolder:
    """The folder given for pictures, or else the one that holds the file, and that of what it is a link to."""
    if not image_folder:
        return PictureFolder((path.absolute().parent, *beside(path)), check)
    folder = Path(image_folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"image_folder: there is no folder {folder}. Paths count from {Path.cwd()}.")
    return PictureFolder((folder,), check)


def _text(path: Path) -> str:
    with opened_text(path) as file:
        return file.read()
