"""Keep rows on disk: converted ones by all that they depend on, tables over 64 MiB by their content."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.sources.file_signatures import encoding_version, file_signature
from sightline.data.sources.text_files import MEMORY_BYTES, most_bytes, too_much
from sightline.errors import MachineError
from sightline.progress import doing
from sightline.runs import write_text

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

SECONDS_KEPT = 30 * 24 * 3600  # since it was last used; the digest beside it may go before, and costs one conversion
DIGEST = ".digest"


def map_rows(dataset: Dataset, function: Callable[..., Any], parameters: Iterable[Any] = (), **options: Any) -> Dataset:
    """`dataset.map` that believes what was kept only where rows, parameters and our code are the same.

    `datasets` (5.0) keeps what a function made under a hash of that function, which knows those that it calls by name
    alone, and writes it into the folder of the dataset: the user's own, for one that `save_to_disk` wrote. Rows in
    memory stay there.

    Args:
        parameters: what the function depends on besides the rows.
    """
    files = [Path(file["filename"]) for file in dataset.cache_files]
    ours = kept_folder() if files else None
    signatures = [path.name if path.parent == ours else file_signature(path) for path in files]
    parts = [encoding_version(), dataset._fingerprint, dataset.features, *parameters, *signatures]
    key = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
    title = options.get("desc") or "Reading rows"
    if ours is None:
        with doing(title):
            return dataset.map(function, new_fingerprint=key, **options)
    place = ours / f"{key}.arrow"
    whole = _is_whole(place)
    options |= {"cache_file_name": str(place), "load_from_cache_file": whole}
    with doing(title):
        kept = dataset.map(function, new_fingerprint=key, **options)
    with contextlib.suppress(OSError):
        if whole:
            os.utime(place)
        else:
            write_text(place.with_suffix(DIGEST), _digest(place))
    return kept


@contextmanager
def maps_in_temporary_files() -> Iterator[None]:
    """Lets `dataset.map`, whoever calls it, write into files that go with the process, not into the user's folders."""
    import datasets

    enabled = datasets.is_caching_enabled()
    datasets.disable_caching()
    try:
        yield
    finally:
        if enabled:
            datasets.enable_caching()


def kept_folder() -> Path:
    """Where rows are kept, or a folder for this process alone where nothing can be kept."""
    from datasets.fingerprint import get_temporary_cache_files_directory

    folder = _folder()
    try:
        if not folder.is_absolute():
            raise FileNotFoundError  # a user without a home folder
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError
        _remove_unused(folder)
    except OSError:
        return Path(get_temporary_cache_files_directory())
    return folder


def _is_whole(place: Path) -> bool:
    """Whether what is kept there is what was written."""
    try:
        return place.with_suffix(DIGEST).read_text(encoding="utf-8") == _digest(place)
    except OSError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _folder() -> Path:
    from datasets import config

    return Path(config.HF_DATASETS_CACHE) / "sightline"


def _remove_unused(folder: Path) -> None:
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):  # another process removed it
            if time.time() - path.stat().st_mtime > SECONDS_KEPT:
                path.unlink()


PART_ROWS, PART_BYTES = 10_000, 2**24  # as Python objects at once


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
