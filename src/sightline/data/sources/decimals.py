"""Write numbers of 16 and 32 bits as the shortest decimal: 0.1, not 0.10000000149011612."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

LISTED = ("answer", "answers", "label")  # whose lists become texts; lists elsewhere may be long vectors


def in_short_decimals(table: pyarrow.Table) -> pyarrow.Table:
    """The table with its numbers of half and single precision in double, each that of its shortest decimal.

    Double precision else shows digits that nobody wrote.
    """
    import pyarrow

    for place, field in enumerate(table.schema):
        if has_short(field.type, field.name):
            kind = pyarrow.list_(pyarrow.float64()) if _is_list(field.type) else pyarrow.float64()
            chunks = [_texts(chunk).cast(kind) for chunk in table.column(place).chunks]
            table = table.set_column(place, pyarrow.field(field.name, kind), pyarrow.chunked_array(chunks, kind))
    return table


def has_short(kind: Any, column: str) -> bool:
    """Whether a column of this Arrow type is of numbers of half or single precision, or has lists of single ones that
    are answers."""
    import pyarrow

    if column in LISTED and _is_list(kind):
        return bool(pyarrow.types.is_float32(kind.value_type))
    return bool(pyarrow.types.is_float16(kind) or pyarrow.types.is_float32(kind))


def _is_list(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind))


def _texts(chunk: Any) -> Any:
    """The numbers of a chunk as shortest texts."""
    import pyarrow

    if pyarrow.types.is_float16(chunk.type):  # which Arrow (26) writes as if it were double
        return pyarrow.array([None if one is None else str(one) for one in map(_half, chunk)], pyarrow.string())
    return chunk.cast(pyarrow.list_(pyarrow.string()) if _is_list(chunk.type) else pyarrow.string())


def _half(one: Any) -> Any:
    import numpy

    return numpy.float16(one.as_py()) if one.is_valid else None
