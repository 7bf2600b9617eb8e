"""A short hash of a dataset's rows, from Arrow's columns and a look at each picture's file, without opening any."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

BATCH_ROWS = 1000
END_BYTES = 256  # of an encoded picture, from either end: heads, and sums over the content in PNG


def rows_signature(dataset: Dataset, by_name: bool = False) -> str:
    """Equal for equal rows in equal order. Of a picture its file's name and size count, or its bytes' length and ends.

    A picture may lie elsewhere than before: a dataset that was moved is the same.

    Args:
        by_name: of a picture's file the name alone counts, so that it may be gone, or cut.
    """
    digest = hashlib.blake2b(digest_size=16)
    named = _Files(_name if by_name else _name_and_size)
    for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
        for name in sorted(table.column_names):
            digest.update(name.encode())
            _add(digest, table[name].combine_chunks(), named)
    return digest.hexdigest()


def _add(digest: Any, column: Any, named: _Files) -> None:
    """Adds a column, whose pictures are records of bytes and path, alone or in lists."""
    import pyarrow
    import pyarrow.compute as compute

    kind = column.type
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        if _are_pictures(kind.value_type):
            _add_plain(digest, compute.list_value_length(column))
            _add(digest, column.flatten(), named)
            return
    elif _are_pictures(kind):
        content, path = compute.struct_field(column, "bytes"), compute.struct_field(column, "path")
        _add_plain(digest, compute.binary_length(content))
        _add_plain(digest, compute.binary_slice(content, 0, END_BYTES))
        _add_plain(digest, compute.binary_slice(content, -END_BYTES))
        distinct = path.dictionary_encode()
        _add_plain(digest, distinct.indices)
        for one in distinct.dictionary.to_pylist():
            digest.update(named[one].encode())
        return
    _add_plain(digest, column)


def _are_pictures(kind: Any) -> bool:
    import pyarrow

    return pyarrow.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}


def _add_plain(digest: Any, column: Any) -> None:
    import pyarrow

    digest.update(pyarrow.record_batch([column], names=["column"]).serialize())


class _Files(dict[str, str]):
    """What of each picture's file counts, looked up once."""

    def __init__(self, look: Callable[[str], str]) -> None:
        super().__init__()
        self._look = look

    def __missing__(self, path: str) -> str:
        self[path] = found = self._look(path)
        return found


def _name(path: str) -> str:
    return f"{Path(path).name}\n"


def _name_and_size(path: str) -> str:
    try:
        return f"{Path(path).name} {Path(path).stat().st_size}\n"
    except (OSError, ValueError):  # an address, or a file that is missing
        return _name(path)
