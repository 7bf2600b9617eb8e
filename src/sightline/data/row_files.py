"""Files of rows: JSONL, JSON, CSV, Parquet, tar shards, token files, and folders of pictures by class."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from sightline.data.bounds import VALUE_BYTES, allow_long_cells, lines_of, require_bytes
from sightline.data.column_names import renamed_rows
from sightline.data.documents import document_rows, require_split, token_rows
from sightline.data.gathering import gather_rows
from sightline.data.large_tables import dataset_of_tables
from sightline.data.mixed_columns import is_mixed, table_of
from sightline.data.picture_columns import PictureAccess, PictureFinder
from sightline.data.shard_table import read_shard_table
from sightline.data.shards import PICTURES, read_shards, shard_problem
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
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"
ROW_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".tar")


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


def stream_rows(paths: Sequence[str], pictures: PictureAccess) -> Iterator[Row]:
    """The rows of JSONL, Parquet or tar files one at a time, their pictures as records of bytes and path."""
    for path in map(Path, paths):
        finder = PictureFinder(path.parent, pictures)
        rows = _in_utf8(_STREAMS[path.suffix](path, pictures.skip_bad_rows), path)
        if pictures.columns:
            rows = renamed_rows(rows, pictures.columns, path.name)
        yield from gather_rows(rows, finder, partial(_row_of, path.name))


def _row_of(file: str, index: int) -> str:
    return f"{file} row {index + 1}"


def _in_utf8(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    try:
        yield from rows
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error


def not_utf8(path: Path, error: UnicodeDecodeError) -> DataError:
    """What is said of a file of text in another encoding, or cut inside of a letter."""
    return DataError(
        f"{path} is not encoded in UTF-8 ({error.reason} at byte {error.start}). Convert it, or copy it again."
    )


def require_arrow_end(path: Path) -> None:
    """Raise DataError for an Arrow stream without the mark at its end: Arrow takes a cut between two batches for it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(ARROW_END)))
        if file.read() != ARROW_END:
            raise DataError(f"{path} is no whole Arrow file: it is cut. Copy or write it again.")


def _iterate_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(lines_of(file, path.name), start=1):
            if not line.strip():
                continue
            try:
                row = read_json(line, unique=True, for_table=True)
            except NotationError as error:
                raise DataError(f"{path.name} line {number}: no valid JSON ({error}).") from error
            if not isinstance(row, dict):
                raise DataError(
                    f"{path.name} line {number}: expected an object of columns, got {line.strip()[:60]}. A "
                    "list of rows is read from a file that ends in .json."
                )
            yield row


def _iterate_parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet
    from datasets import Features

    try:
        file = pyarrow.parquet.ParquetFile(path)
        features = Features.from_arrow_schema(file.schema_arrow)
        written = {column: feature for column, feature in features.items() if _holds_json(feature)}
        for batch in file.iter_batches(batch_size=32):
            batch.validate(full=True)
            for row in batch.to_pylist():
                yield row | {column: _read_json_in(row[column], feature) for column, feature in written.items()}
    except (pyarrow.ArrowException, OSError, NotationError) as error:
        raise _no_parquet(path, error) from error


def _no_parquet(path: Path, error: Exception) -> DataError:
    return DataError(f"{path.name} is no whole Parquet file: {error}. Copy or write it again.")


def _holds_json(feature: Any) -> bool:
    """Whether `datasets` stores parts of a column as JSON, such as tools whose parameters differ."""
    from datasets import Json, List

    if isinstance(feature, List):
        return _holds_json(feature.feature)
    if isinstance(feature, dict):
        return any(map(_holds_json, feature.values()))
    return isinstance(feature, Json)


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
    ".jsonl": lambda path, _: _iterate_jsonl(path),
    ".parquet": lambda path, _: _iterate_parquet(path),
    ".tar": _stream_shard,
}


def _read_jsonl(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    return _in_chunks(partial(_iterate_jsonl, path), path)


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


def _read_json(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    try:
        content = read_json(path.read_text(encoding="utf-8-sig"), unique=True, for_table=True)
    except NotationError as error:
        where = path.name if error.line is None else f"{path.name} line {error.line}"
        raise DataError(f"{where}: no valid JSON ({error}). If it has one object a line, call it .jsonl.") from error
    rows = content.get("data") if isinstance(content, dict) else content
    if isinstance(content, dict) and rows is None:
        rows = document_rows(content, path, finder.place, split)
    else:
        require_split(path, split)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f'{path.name}: expected a list of rows, or {{"data": [rows]}}, each row an object of columns.')
    return dataset_of(rows, path)


def _read_csv(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    # Each value stays text: guessed types would turn the answers "None" and "N/A" into missing ones, and "007" into 7.
    delimiter = "\t" if path.suffix == ".tsv" else ","
    rows = partial(_iterate_csv, path, delimiter)
    return _in_chunks(lambda: ({column: value or None for column, value in row.items()} for row in rows()), path)


def _iterate_csv(path: Path, delimiter: str) -> Iterator[Row]:
    allow_long_cells()
    with path.open(encoding="utf-8-sig", newline="") as file:
        _require_header(file, path, delimiter)
        reader = csv.DictReader(lines_of(file, path.name), delimiter=delimiter)
        number, row = 0, Row()
        try:
            for number, row in enumerate(reader, start=1):
                if None in row:
                    width = len(row) - 1
                    raise DataError(f"{path.name} row {number}: more values than the header has columns ({width}).")
                yield row
        except csv.Error as error:
            raise DataError(
                f"{path.name} line {reader.line_num}: no row of a table ({error}). Most likely a quote is opened there "
                "and never closed, or the file is none of text."
            ) from error
    if number:
        _require_whole_end(path, row, number, delimiter)


def _require_header(file: TextIO, path: Path, delimiter: str) -> None:
    """Raise DataError for a first line that names a column twice, or whose columns are parted by another letter."""
    line = file.readline(VALUE_BYTES)
    file.seek(0)
    if not line.strip():
        raise DataError(f"{path.name} line 1: expected the names of the columns, got an empty line. Take it out.")
    names = next(csv.reader([line], delimiter=delimiter))
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
    with path.open("rb") as file:
        file.seek(-1, 2)
        ends_line = file.read() in (b"\n", b"\r")
    last = f"{path.name} row {count}: the file ends in the middle of it"
    if not ends_line and any(value is None for value in row.values()):
        raise DataError(f"{last}: fewer values than the header has columns ({len(row)}). Copy the file again.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        if sum(line.count('"') for line in file) % 2 == 0:
            return
        file.seek(0)
        try:
            for _ in csv.reader(file, delimiter=delimiter, strict=True):
                pass
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise DataError(f"{last}: its quotes are not closed. Copy the file again, or close them.") from error


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
    lines = (line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip())
    return dataset_of(token_rows(lines, path, finder.place), path)


def _read_tar(path: Path, finder: PictureFinder, split: str | None) -> Dataset:
    return read_shard_table([path], finder.skip_bad_rows)


READERS: dict[str, Reader] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".tar": _read_tar,
    ".token": _read_tokens,
    ".txt": _read_tokens,
}
