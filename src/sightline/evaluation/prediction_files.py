"""Read files of stored answers as plain records: JSONL, JSON, CSV, TSV, Parquet, Excel."""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sightline.data.sources.row_files import PARQUET_ROWS
from sightline.data.sources.text_files import (
    allow_long_cells,
    lines_of,
    opened_text,
    require_bytes,
    require_value,
    row_kind,
)
from sightline.errors import DataError
from sightline.notation import NotationError, read_json
from sightline.runs import encodable

Record = dict[str, Any]

_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_BROKEN = (LookupError, NotImplementedError, OSError, RuntimeError, ValueError)  # what zipfile raises of damaged books
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # how Excel's files hold control characters


def read_records(path: Path) -> list[Record]:
    """The records of a file, in order, with the values as they are stored there.

    Raises:
        DataError: no such file, another format, or one that is broken.
    """
    kind = row_kind(path)
    if kind not in READERS:
        raise DataError(f"--predictions {path}: expected one of {', '.join(READERS)}. Convert the file.")
    if not path.is_file():
        raise DataError(f"--predictions: there is no file {path}. Paths count from {Path.cwd()}.")
    try:
        records = list(READERS[kind](path))
    except csv.Error as error:
        raise DataError(
            f"{path.name}: no table ({error}). Most likely a quote is never closed: copy it again."
        ) from error
    if not records:
        raise DataError(f"{path.name} has no records. Check the file.")
    return records


def _read_jsonl(path: Path) -> Iterator[Record]:
    with opened_text(path) as lines:
        for number, line in enumerate(lines_of(lines, path.name), start=1):
            if line.strip():
                yield _record(_parsed(line, f"{path.name} line {number}"), f"{path.name} line {number}")


def _read_json(path: Path) -> Iterator[Record]:
    """A list of records, or an object of predictions or records by id, as MathVista's scripts write it."""
    with opened_text(path) as file:
        content = _parsed(file.read(), path.name)
    if isinstance(content, dict):
        content = [
            {"id": key, **said} if isinstance(said, dict) else {"id": key, "prediction": said}
            for key, said in content.items()
        ]
    if not isinstance(content, list):
        raise DataError(f"{path.name}: expected a list of records, got {str(content)[:40]}.")
    for number, record in enumerate(content, start=1):
        yield _record(record, f"{path.name} record {number}")


def _parsed(text: str, name: str) -> Any:
    try:
        return read_json(text, unique=True)
    except NotationError as error:
        raise DataError(f"{name}: no valid JSON ({error}). Write the file again.") from error


def _record(value: Any, name: str) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"{name}: expected an object with id and prediction, got {str(value)[:40]}.")
    return {_joined(key): _joined(cell) for key, cell in value.items()}


def _joined(value: Any) -> Any:
    """The value with half letters of JSON (of an emoji that was cut) put together, or U+FFFD in their place."""
    if isinstance(value, str):
        return encodable(value)
    return [_joined(part) for part in value] if isinstance(value, list) else value


def _read_table(path: Path) -> Iterator[Record]:
    allow_long_cells()
    with opened_text(path, newline="") as lines:
        rows = csv.reader(lines_of(lines, path.name), delimiter="\t" if row_kind(path) == ".tsv" else ",")
        header = _header(next(rows, []), path)
        for number, row in enumerate((row for row in rows if row), start=1):
            if len(row) != len(header):
                raise DataError(
                    f"{path.name} record {number}: expected {len(header)} values as the header has, got {len(row)}. "
                    "Put quotes around values with separators or line breaks."
                )
            yield dict(zip(header, row, strict=True))


def _header(names: Sequence[str], path: Path) -> Sequence[str]:
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise DataError(f"{path.name}: the header names {', '.join(twice)} more than once. Rename one of the columns.")
    return names


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        kept = [field.name for field in file.schema_arrow if "binary" not in str(field.type)]  # pictures stay closed
        require_bytes(file.metadata.num_rows * len(kept), path)
        total = 0
        for batch in file.iter_batches(PARQUET_ROWS, columns=kept):
            batch.validate(full=True)
            total += batch.nbytes
            require_bytes(total, path)
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is no Parquet file that can be read: {error}.") from error


def _read_xlsx(path: Path) -> Iterator[Record]:
    """Rows of the first sheet, whose first row names the columns; values only, which is all that result files have."""
    try:
        with zipfile.ZipFile(path) as book:
            shared = [_text(entry) for entry in _elements(book, "xl/sharedStrings.xml", "si", path)]
            yield from _sheet_records(_elements(book, "xl/worksheets/sheet1.xml", "row", path), shared, path)
    except DataError:
        raise
    except (ElementTree.ParseError, zipfile.BadZipFile, zlib.error, EOFError, *_BROKEN) as error:
        raise DataError(f"{path.name} is no Excel file that can be read ({error}). Save it as TSV.") from error


def _sheet_records(rows: Iterable[ElementTree.Element], shared: Sequence[str], path: Path) -> Iterator[Record]:
    header: dict[str, str] = {}
    for row in rows:
        placed = enumerate(row.iter(f"{_SHEET}c"))
        cells = {_column(cell) or str(place): _value(cell, shared) for place, cell in placed}
        if not header:
            header = {column: str(name) for column, name in cells.items() if name}
            _header(list(header.values()), path)
        elif any(value is not None for value in cells.values()):
            yield {name: cells.get(column) for column, name in header.items()}


def _elements(book: zipfile.ZipFile, name: str, tag: str, path: Path) -> Iterator[ElementTree.Element]:
    """The elements of a part of the book, each gone once the next is asked for; none where a text part is not there.

    Raises:
        DataError: the part unpacks to more than one value may.
    """
    if name not in book.namelist() and tag == "si":
        return
    require_value(book.getinfo(name).file_size, f"{path} part {name}", "a sheet")
    with book.open(name) as part:
        for _, element in ElementTree.iterparse(part):
            if element.tag == f"{_SHEET}{tag}":
                yield element
                element.clear()


def _text(element: ElementTree.Element) -> str:
    written = "".join(text.text or "" for text in element.iter(f"{_SHEET}t"))
    return encodable(_ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), written))


def _column(cell: ElementTree.Element) -> str:
    """The letters of a cell's address: "AB" of "AB12"."""
    return cell.get("r", "").rstrip("0123456789")


def _value(cell: ElementTree.Element, shared: Sequence[str]) -> str | bool | None:
    """A cell's text or number, as text; None for an empty one and for an error such as #N/A."""
    kind = cell.get("t")
    if kind == "inlineStr":
        return _text(cell)
    value = cell.find(f"{_SHEET}v")
    if value is None or value.text is None or kind == "e":
        return None
    if kind == "b":
        return value.text == "1"
    return shared[int(value.text)] if kind == "s" else value.text


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".parquet": _read_parquet,
    ".xlsx": _read_xlsx,
}
