"""The readers of row files: JSONL, JSON, CSV, TSV, Parquet, tar shards, token files, image folders by class."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.pictures.columns import PictureAccess, PictureFinder, beside
from sightline.data.pictures.gathering import gather_rows
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.column_names import renamed_rows, with_known_names
from sightline.data.sources.documents import token_rows
from sightline.data.sources.json_rows import iterate_jsonl, json_rows, settle, stream_jsonl
from sightline.data.sources.kept_rows import dataset_of_tables
from sightline.data.sources.shards import PICTURES, read_shard_table, read_shards, shard_problem
from sightline.data.sources.text_files import (
    VALUE_BYTES,
    allow_long_cells,
    lines_of,
    opened_text,
    require_bytes,
    row_kind,
)
from sightline.data.tables import in_short_decimals, is_mixed, table_of
from sightline.errors import DataError
from sightline.launch.processes import say
from sightline.notation import NotationError, read_json

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]
Reader = Callable[[Path, PictureFinder, str | None], Any]

CHUNK_ROWS = 20_000  # as Python objects at once; as Arrow they take a fifth of the memory
CHUNK_LETTERS = 2**24
PARQUET_ROWS = 256  # decoded at once; of a column that repeats large values fewer
REPEATED_ROWS, LARGE_DICTIONARY = 16, 2**18


def dataset_of(rows: Sequence[Row], path: Path) -> Dataset:
    """Rows with the union of their columns; a column absent from a row is None there."""
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        return table_of({name: [row.get(name) for row in rows] for name in names})
    except Exception as error:  # pyarrow's own tree: invalid, type and overflow errors
        raise DataError(f"{path.name}: the rows do not fit into one table: {error}") from error


def class_rows(folder: Path) -> list[Row]:
    """A row for each picture in a folder of folders, named after its class; empty where there are none."""
    if not folder.is_dir():
        return []
    return [
        {"image": str(file.relative_to(folder)), "label": file.parent.name}
        for place in sorted(folder.iterdir())
        if place.is_dir()
        for file in sorted(place.iterdir())
        if file.suffix.lower().lstrip(".") in PICTURES
    ]


def stream_rows(paths: Sequence[str], pictures: PictureAccess, root: str | None = None) -> Iterator[Row]:
    """The rows of JSONL, Parquet or tar files one at a time, their pictures as records of bytes and path; `root` is the
    dataset's folder, from which paths count, too."""
    for path in map(Path, paths):
        finder = PictureFinder(path.parent, pictures, *beside(path), *([Path(root)] if root else []))
        rows = _STREAMS[row_kind(path)](path, pictures.skip_bad_rows)
        if pictures.columns:
            rows = renamed_rows(rows, pictures.columns, path.name)
        yield from gather_rows(with_known_names(rows, path.name), finder, partial(_row_of, path.name))


def _row_of(file: str, index: int) -> str:
    return f"{file} row {index + 1}"


def _iterate_parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet
    from datasets import Features

    try:
        file = pyarrow.parquet.ParquetFile(path)
        features = Features.from_arrow_schema(file.schema_arrow)
        written = {column: feature for column, feature in features.items() if is_mixed(feature)}
        for batch in file.iter_batches(batch_size=32):
            batch.validate(full=True)
            for row in in_short_decimals(pyarrow.Table.from_batches([batch])).to_pylist():
                yield row | {column: _read_json_in(row[column], feature) for column, feature in written.items()}
    except (pyarrow.ArrowException, OSError, NotationError) as error:
        raise _no_parquet(path, error) from error


def _no_parquet(path: Path, error: Exception) -> DataError:
    if isinstance(error, PermissionError):
        return DataError(f"{path} may not be read by this user. Give it the right to read it, or copy the file.")
    return DataError(f"{path.name} is no whole Parquet file: {error}. Copy or write it again.")


def _read_json_in(value: Any, feature: Any) -> Any:
    from datasets import Json, List

    if value is None:
        return None
    if isinstance(feature, List):
        return [_read_json_in(item, feature.feature) for item in value]
    if isinstance(feature, dict):
        return {field: _read_json_in(item, feature[field]) for field, item in value.items()}
    return read_json(value) if isinstance(feature, Json) else value


def _stream_shard(path: Path, skip_broken: bool) -> Iterator[Row]:
    yield from read_shards([str(path)], skip_broken)
    problem = shard_problem(path) if skip_broken else ""
    if problem:
        say(f"Left out: {problem}")


_STREAMS: dict[str, Callable[[Path, bool], Iterable[Row]]] = {
    ".jsonl": stream_jsonl,
    ".parquet": lambda path, _: _iterate_parquet(path),
    ".tar": _stream_shard,
}


def _read_jsonl(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    bad = BadRows(finder.skip_bad_rows)
    dataset = _in_chunks(partial(iterate_jsonl, path, bad), path)
    settle(path, bad, len(dataset), finder.noted)
    return dataset


def _read_json(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    bad = BadRows(finder.skip_bad_rows)
    rows = json_rows(path, finder.place, split, bad)
    settle(path, bad, len(rows), finder.noted)
    return dataset_of(rows, path)


def _in_chunks(read: Callable[[], Iterable[Row]], path: Path) -> Dataset:
    """The rows, of which a chunk at a time is Python objects; `read` begins with the first each time it is called."""
    try:
        return dataset_of_tables(_chunk_tables(read(), path))
    except _OtherColumnsError:
        schema = _schema_of_all(read(), path)
    if schema is None:
        return dataset_of(list(read()), path)
    return dataset_of_tables(_chunk_tables(read(), path, schema))


class _OtherColumnsError(Exception):
    """A chunk has other columns than the first."""


def _chunk_tables(rows: Iterable[Row], path: Path, schema: Any = None) -> Iterator[Any]:
    """A table for each chunk, all of `schema`, or of the first's."""
    first = None
    for chunk in _chunks(rows):
        table = dataset_of(chunk, path).data.table
        first = table.schema if first is None else first
        if schema is None and table.schema != first:
            raise _OtherColumnsError
        yield table if schema is None else _in_schema(table, schema)
    if first is None:
        yield dataset_of([], path).data.table


def _schema_of_all(rows: Iterable[Row], path: Path) -> Any:
    """The columns of all chunks; None where a column is of mixed types, which only all rows together tell."""
    import pyarrow
    from datasets import Features

    found: dict[str, Any] = {}
    for chunk in _chunks(rows):
        features = dataset_of(chunk, path).features
        if is_mixed(features):
            return None
        found[str(features.arrow_schema)] = features.arrow_schema.remove_metadata()
    try:
        return Features.from_arrow_schema(pyarrow.unify_schemas(found.values())).arrow_schema
    except pyarrow.ArrowException:
        return None


def _in_schema(table: Any, schema: Any) -> Any:
    """The table with these columns, those that it lacks of nothing."""
    import pyarrow

    empty = {name: pyarrow.nulls(len(table), schema.field(name).type) for name in schema.names}
    columns = [table.column(name) if name in table.column_names else empty[name] for name in schema.names]
    return pyarrow.table(columns, names=schema.names).cast(schema)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    letters = 0
    for row in rows:
        chunk.append(row)
        letters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(chunk) == CHUNK_ROWS or letters > CHUNK_LETTERS:
            yield chunk
            chunk, letters = [], 0
    if chunk:
        yield chunk


def _read_csv(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    # Each value stays text: guessed types would turn the answers "None" and "N/A" into missing ones, and "007" into 7.
    delimiter = "\t" if row_kind(path) == ".tsv" else ","
    bad = BadRows(finder.skip_bad_rows)
    rows = partial(csv_rows, path, delimiter, bad)
    read = lambda: ({column: value or None for column, value in row.items()} for row in rows())  # noqa: E731
    dataset = _in_chunks(read, path)
    settle(path, bad, len(dataset), finder.noted)
    return dataset


def _read_parquet(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    return dataset_of_tables(_parquet_tables(path), path)


def _parquet_tables(path: Path) -> Iterator[Any]:
    """The rows as Arrow tables of a few each, at least one."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
            require_bytes(file.metadata.num_rows * file.metadata.num_columns, path)  # a value takes a byte at least
            yield pyarrow.Table.from_batches([], file.schema_arrow)  # empty_table() knows no extension types
            for batch in file.iter_batches(batch_size=_parquet_rows(file.metadata)):
                batch.validate(full=True)
                yield pyarrow.Table.from_batches([batch], schema=file.schema_arrow)
    except (pyarrow.ArrowException, OSError) as error:
        raise _no_parquet(path, error) from error


def _parquet_rows(metadata: Any) -> int:
    """How many rows to decode at once: fewer where a large value stands once and is repeated by its number."""
    columns = (
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )
    large = (
        (column.data_page_offset - column.dictionary_page_offset)
        * (column.total_uncompressed_size / max(1, column.total_compressed_size))
        > LARGE_DICTIONARY
        for column in columns
        if column.has_dictionary_page and column.physical_type == "BYTE_ARRAY"
    )
    return REPEATED_ROWS if any(large) else PARQUET_ROWS


def _read_tokens(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    with opened_text(path) as file:
        lines = [line for line in file.read().split("\n") if line.strip()]
    bad = BadRows(finder.skip_bad_rows)
    rows = token_rows(lines, path, finder.place, bad)
    settle(path, bad, len(rows), finder.noted)
    return dataset_of(rows, path)


READERS: dict[str, Reader] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".tar": lambda path, finder, split: read_shard_table([path], finder.skip_bad_rows, finder.noted),
    ".token": _read_tokens,
    ".txt": _read_tokens,
}


TextRow = dict[str, str | None]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_rows(path: Path, delimiter: str, bad: BadRows) -> Iterator[TextRow]:
    """The rows of a table whose first line names the columns; spaces around a name are none of it. Rows of more values
    are noted.

    Raises:
        DataError: a header that says something else, or a file that is cut in its last row.
    """
    allow_long_cells()
    _require_header(path, delimiter)
    with opened_text(path, newline="") as file:
        reader = csv.DictReader(lines_of(file, path.name), delimiter=delimiter)
        number, row = 0, TextRow()
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


def _require_whole_end(path: Path, row: TextRow, count: int, delimiter: str) -> None:
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
