"""Tell tables (countable, fixed rows) from streams and from rows that a transform makes when read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
