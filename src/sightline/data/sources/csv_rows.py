"""Read rows of CSV and TSV files; values stay as written, errors name the row or line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.bounds import VALUE_BYTES, allow_long_cells, lines_of
from sightline.data.sources.text_files import opened_text
from sightline.errors import DataError

Row = dict[str, str | None]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_rows(path: Path, delimiter: str, bad: BadRows) -> Iterator[Row]:
    """The rows of a table whose first line names the columns; spaces around a name are none of it. Rows of more values
    are noted.

    Raises:
        DataError: a header that says something else, or a file that is cut in its last row.
    """
    allow_long_cells()
    _require_header(path, delimiter)
    with opened_text(path, newline="") as file:
        reader = csv.DictReader(lines_of(file, path.name), delimiter=delimiter)
        number, row = 0, Row()
        try:
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            for number, row in enumerate(reader, start=1):
                if None not in row:
                    yield row
                    continue
                name, width = f"{path.name} row {number}", len(row) - 1
                bad.note(number, DataError(f"{name}: more values than the header has columns ({width})."))
        except csv.Error as error:
            raise DataError(
                f"{path.name} line {reader.line_num}: no row of a table ({error}). Most likely a quote is opened there "
                "and never closed, or the file is none of text."
            ) from error
    if number:
        _require_whole_end(path, row, number, delimiter)


def _require_header(path: Path, delimiter: str) -> None:
    """Raise DataError for a first line that names a column twice, or whose columns are parted by another letter."""
    with opened_text(path, newline="") as file:
        line = file.readline(VALUE_BYTES)
    if not line.strip():
        raise DataError(f"{path.name} line 1: expected the names of the columns, got an empty line. Take it out.")
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    other = max((one for one in SEPARATORS if one != delimiter), key=line.count)
    if len(names) == 1 and other in line:
        raise DataError(
            f"{path.name}: expected columns separated by {SEPARATORS[delimiter]}, got a first line with "
            f"{SEPARATORS[other]}: {line.strip()[:60]!r}. Save it with {SEPARATORS[delimiter]}, or name it .tsv where "
            "tabs separate them."
        )
    twice = next((name for place, name in enumerate(names) if name and name in names[:place]), None)
    if twice is not None:
        raise DataError(f"{path.name}: the column {twice!r} stands there twice. Rename or drop one of them.")


def _require_whole_end(path: Path, row: Row, count: int, delimiter: str) -> None:
    """Raise DataError for a file that is cut in its last row: inside of quotes, or before its last value."""
    quotes, ends_line = 0, False
    with opened_text(path, newline="") as file:
        for line in file:
            quotes, ends_line = quotes + line.count('"'), line.endswith(("\n", "\r"))
    last = f"{path.name} row {count}: the file ends in the middle of it"
    if not ends_line and any(value is None for value in row.values()):
        raise DataError(f"{last}: fewer values than the header has columns ({len(row)}). Copy the file again.")
    if quotes % 2 == 0:
        return
    with opened_text(path, newline="") as file:
        try:
            for _ in csv.reader(file, delimiter=delimiter, strict=True):
                pass
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise DataError(f"{last}: its quotes are not closed. Copy the file again, or close them.") from error
