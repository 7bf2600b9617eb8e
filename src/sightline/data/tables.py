"""Tables of rows: told from streams and transforms, with columns of mixed types and short decimals kept as written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

ROWS_AT_ONCE = 64  # few, since a row may hold the bytes of its pictures


def each_row(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a `Dataset`, several times as fast as it gives them one by one."""
    for batch in dataset.iter(ROWS_AT_ONCE):
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(batch, values, strict=True))


def is_transformed(dataset: Any) -> bool:
    """Whether a function makes the rows of a `Dataset` when they are read."""
    from datasets import Dataset

    return isinstance(dataset, Dataset) and dataset.format["type"] == "custom"


def is_table(dataset: Any) -> bool:
    """Whether rows can be counted and are the same whenever they are read."""
    from datasets import Dataset

    return isinstance(dataset, Dataset) and not is_transformed(dataset)


def why_no_table(name: str, dataset: Any) -> str:
    """Why what was found in its rows cannot be kept."""
    return f"the transform of {name} makes its rows anew" if is_transformed(dataset) else f"{name} is streamed"


def unformatted(dataset: Any) -> Any:
    """A dataset that gives tensors or arrays (`set_format`) as one that gives the values and pictures behind them."""
    from datasets import Dataset

    if isinstance(dataset, dict):
        return type(dataset)({name: unformatted(part) for name, part in dataset.items()})
    if not isinstance(dataset, Dataset) or dataset.format["type"] in (None, "custom"):
        return dataset
    columns, others = dataset.format["columns"], dataset.format["output_all_columns"]
    plain = dataset.with_format(None)
    return plain if others else plain.select_columns(columns)


def row_columns(dataset: Any) -> list[str]:
    """The columns of the rows; of a stream, and of rows that a transform makes, those of the first."""
    names = getattr(dataset, "column_names", None)
    if names is not None and not is_transformed(dataset):
        return list(names)
    return list(next(iter(dataset)) if hasattr(dataset, "__iter__") else dataset[0])


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
            kind = pyarrow.list_(pyarrow.float64()) if is_list(field.type) else pyarrow.float64()
            chunks = [_texts(chunk).cast(kind) for chunk in table.column(place).chunks]
            table = table.set_column(place, pyarrow.field(field.name, kind), pyarrow.chunked_array(chunks, kind))
    return table


def has_short(kind: Any, column: str) -> bool:
    """Whether a column of this Arrow type is of numbers of half or single precision, or has lists of single ones that
    are answers."""
    import pyarrow

    if column in LISTED and is_list(kind):
        return bool(pyarrow.types.is_float32(kind.value_type))
    return bool(pyarrow.types.is_float16(kind) or pyarrow.types.is_float32(kind))


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is one of lists."""
    import pyarrow

    return bool(pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind))


def _texts(chunk: Any) -> Any:
    """The numbers of a chunk as shortest texts."""
    import pyarrow

    if pyarrow.types.is_float16(chunk.type):  # which Arrow (26) writes as if it were double
        return pyarrow.array([None if one is None else str(one) for one in map(_half, chunk)], pyarrow.string())
    return chunk.cast(pyarrow.list_(pyarrow.string()) if is_list(chunk.type) else pyarrow.string())


def _half(one: Any) -> Any:
    import numpy

    return numpy.float16(one.as_py()) if one.is_valid else None
