"""Columns that rows call by names of their own (`question=q,answer=a`), renamed before anything else reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.errors import ConfigError, DataError, nearest

FLAG = "--columns"
CHECKED_ROWS = 1000  # of a stream, in which a column must have come


@dataclass(frozen=True)
class ColumnNames:
    """What is read and what the rows call it, as pairs; none where the rows' own names are those that are read."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __str__(self) -> str:
        return ",".join(f"{read}={own}" for read, own in self.pairs)


OWN_NAMES = ColumnNames()


def read_columns(given: str | Mapping[str, Any] | None, setting: str = FLAG) -> ColumnNames:
    """The names of a setting: `question=q,answer=a`, or a mapping of the same.

    Raises:
        ConfigError: it is neither, or gives two columns one name or one column two.
    """
    if not given:
        return OWN_NAMES
    pairs = list(given.items()) if isinstance(given, Mapping) else [_pair(part, setting) for part in given.split(",")]
    odd = next((pair for pair in pairs if not all(isinstance(name, str) and name.strip() for name in pair)), None)
    if odd is not None:
        raise ConfigError(
            f"{setting}: expected names of columns such as question=q,answer=a; got {odd[0]!r}={odd[1]!r}."
        )
    names = ColumnNames(tuple((read.strip(), own.strip()) for read, own in pairs))
    for place, what in enumerate(("two columns one name", "one column two names")):
        said = [pair[place] for pair in names.pairs]
        twice = next((name for name in said if said.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"{setting}: {names} gives {what} ('{twice}'). Name each once.")
    return names


def new_names(columns: Sequence[str], names: ColumnNames, source: str) -> list[str]:
    """The columns under the names that are read, in their order.

    Raises:
        DataError: one of the rows' own is not there, or another column has its new name already.
    """
    wanted = {own: read for read, own in names.pairs}
    for own, read in wanted.items():
        if own not in columns:
            swapped = f"Write it the other way round: {own}={read}." if read in columns else ""
            hint = swapped or nearest(own, columns) or "Name one of these."
            raise DataError(
                f"{source}: {FLAG} {read}={own}: there is no column '{own}' among {_listed(columns)}. {hint}"
            )
        if read in columns and read not in wanted:
            raise DataError(
                f"{source}: {FLAG} {read}={own}: there is a column '{read}' already, and two cannot have one "
                f"name. Give that another one, too (other={read}), or leave this out."
            )
    return [wanted.get(column, column) for column in columns]


def renamed(dataset: Any, names: ColumnNames, source: str) -> Any:
    """A dataset or stream of `datasets` under the names that are read; its columns must be known."""
    if not names:
        return dataset
    columns = list(dataset.column_names or next(iter(dataset.take(1)), {}))
    return dataset.rename_columns(dict(zip(columns, new_names(columns, names, source), strict=True)))


def renamed_rows(rows: Iterable[dict[str, Any]], names: ColumnNames, source: str) -> Iterator[dict[str, Any]]:
    """Rows as they are read from a file, under the names that are read; a column may be absent from single rows.

    Raises:
        DataError: a column came in none of the first CHECKED_ROWS, or its new name is taken.
    """
    wanted = {own: read for read, own in names.pairs}
    seen: dict[str, None] = {}
    number = 0
    for number, row in enumerate(rows, start=1):
        if number <= CHECKED_ROWS:
            seen |= dict.fromkeys(row)
        if number == CHECKED_ROWS:
            new_names(list(seen), names, source)
        made = {wanted.get(column, column): value for column, value in row.items()}
        if len(made) < len(row):
            new_names(list(row), names, source)
        yield made
    if number < CHECKED_ROWS:
        new_names(list(seen), names, source)


def _pair(part: str, setting: str) -> tuple[str, str]:
    read, equals, own = part.partition("=")
    if not equals:
        raise ConfigError(f"{setting}: expected pairs such as question=q,answer=a; got '{part.strip()}'.")
    return read, own


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns)[:300] or "(none)"
