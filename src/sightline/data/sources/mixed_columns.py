"""Keep values as written: texts in columns of mixed types, and numbers of 16 and 32 bits as their shortest decimals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
if TYPE_CHECKING:
    import pyarrow


def table_of(columns: Mapping[str, Sequence[Any]]) -> Dataset:
    """A dataset of these columns. What Arrow cannot give one type (an answer that is 2 here and "two" there, content
    that is a string here and a list of parts there) is stored as JSON, and comes back as it was."""
    from datasets import Dataset

    dataset = Dataset.from_dict(columns, on_mixed_types="use_json")
    mixed = {name: feature for name, feature in dataset.features.items() if is_mixed(feature)}
    if not mixed:
        return dataset
    kept = {name: kept_texts(columns[name], feature) for name, feature in mixed.items()}
    return Dataset.from_dict({**columns, **kept}, on_mixed_types="use_json")


def kept_texts(values: Sequence[Any], feature: Any) -> list[Any]:
    """The values of a column with feature `feature`, for `datasets` to store: texts that are JSON, too, in quotes.

    `datasets` 5 takes a text that can be read as JSON for JSON that was written before, so that beside a number or a
    list the text "007" would come back as 7, "true" as True and "null" as nothing.
    """
    return [_kept(value, feature) for value in values]


def is_mixed(feature: Any) -> bool:
    """Whether a column, or a part of it, is stored as JSON."""
    from datasets import Json

    if isinstance(feature, dict):
        return any(map(is_mixed, feature.values()))
    return isinstance(feature, Json) or is_mixed(getattr(feature, "feature", None) or {})


def _kept(value: Any, feature: Any) -> Any:
    from datasets import Json

    if value is None:
        return None
    if isinstance(feature, Json):
        return json.dumps(value) if isinstance(value, str) and _is_json(value) else value
    if isinstance(feature, dict):
        return {name: _kept(part, feature.get(name)) for name, part in value.items()}
    part = getattr(feature, "feature", None)
    return [_kept(one, part) for one in value] if part is not None and isinstance(value, list) else value


def _is_json(text: str) -> bool:
    from datasets.utils.json import ujson_loads

    try:
        ujson_loads(text)
    except ValueError:
        return False
    return True


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
