"""Keep tables over 64 MiB in a memory-mapped file named by content, smaller ones in memory."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.sources.bounds import MEMORY_BYTES, most_bytes, too_much
from sightline.data.sources.kept_rows import kept_folder
from sightline.errors import MachineError

PART_ROWS, PART_BYTES = 10_000, 2**24  # as Python objects at once

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset


def dataset_of_tables(tables: Iterable[pyarrow.Table], source: Path | None = None) -> Dataset:
    """A dataset of Arrow tables of one schema, at least one, read one after another.

    Args:
        source: the file that they are read from, which limits how much they may hold.

    Raises:
        DataError: it is more than `source` may unpack to.
        MachineError: there is no room on the disk.
    """
    import pyarrow
    from datasets import Dataset

    waiting = iter(_counted(tables, source))
    first: list[pyarrow.Table] = []
    size = 0
    for table in waiting:
        first.append(table)
        size += table.nbytes
        if size > MEMORY_BYTES:
            return _written(first, waiting)
    return Dataset(pyarrow.concat_tables(first).combine_chunks())


def dataset_of_pictures(column: str, values: Iterable[Any], several: bool) -> Dataset:
    """A dataset of one column of closed pictures, of a list of them in each row where there are `several`.

    Args:
        values: `{"bytes", "path"}` or None, or a list of these; taken one at a time.
    """
    import pyarrow
    from datasets import Features, Image, List

    schema = Features({column: List(Image()) if several else Image()}).arrow_schema
    rows = ([value] if several and isinstance(value, dict) else value for value in values)
    tables = (pyarrow.table([pyarrow.array(part, schema.field(0).type)], schema=schema) for part in _parts(rows))
    return dataset_of_tables(itertools.chain([schema.empty_table()], tables))


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Rows in lists of so many as their pictures allow in memory."""
    part: list[Any] = []
    size = 0
    for row in rows:
        part.append(row)
        size += sum(len(one["bytes"] or "") for one in (row if isinstance(row, list) else [row]) if one is not None)
        if len(part) == PART_ROWS or size > PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _counted(tables: Iterable[pyarrow.Table], source: Path | None) -> Iterator[pyarrow.Table]:
    total = 0
    for table in tables:
        total += table.nbytes
        if source is not None and total > (most := most_bytes(source)):
            raise too_much(source, most)
        yield table


def _written(first: list[pyarrow.Table], rest: Iterator[pyarrow.Table]) -> Dataset:
    """The dataset of a file with these tables. Two that hold the same are one file, whoever wrote it."""
    from datasets import Dataset
    from datasets.table import MemoryMappedTable

    folder = kept_folder()
    partial = folder / f".{os.getpid()}.{id(first)}.partial"
    try:
        digest = _write(partial, first, rest)
        place = folder / f"{digest}.arrow"
        partial.replace(place)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot hold the rows: {error.strerror or error}. Make room, or name another folder by "
            "HF_DATASETS_CACHE."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return Dataset(MemoryMappedTable.from_file(str(place)), fingerprint=digest)


def _write(path: Path, first: list[pyarrow.Table], rest: Iterator[pyarrow.Table]) -> str:
    import pyarrow

    with path.open("wb") as file:
        hashed = _Hashed(file)
        with pyarrow.ipc.new_stream(pyarrow.PythonFile(hashed, "w"), first[0].schema) as writer:
            while first:
                writer.write_table(first.pop(0))
            for table in rest:
                writer.write_table(table)
        return hashed.digest.hexdigest()


class _Hashed:
    """A file that knows the hash of what was written to it."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self.digest = hashlib.blake2b(digest_size=16)

    def write(self, content: Any) -> int:
        """Writes and counts bytes."""
        self.digest.update(content)
        written: int = self._file.write(content)
        return written

    def flush(self) -> None:
        """Hands the bytes to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""
