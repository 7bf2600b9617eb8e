"""Clean column names (spaces, case), and rename columns as the user asks (`question=q`)."""

from __future__ import annotations

import functools
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sightline.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("sightline")

Row = dict[str, Any]

# Those that formats and questions are read by; a test holds them against the table of formats.
KNOWN = frozenset(
    "image images rejected_images file_name messages conversations prompt completion completions chosen rejected "
    "question answer answers caption captions text label options choices query response rejected_response "
    "rejected_messages rejected_conversations chosen_response instruction input output history system tools "
    "chat_template_kwargs problem solution texts".split()
)
LONGEST_NAME = 1000  # characters
LOOKED_AT = 100  # rows of a stream, which must have the same columns


def known_names(names: Iterable[str]) -> dict[str, str]:
    """What each column is called that is known but for spaces and capitals; not where the exact name is there, too."""
    names = list(names)
    plain = {name: name.strip().lower() for name in names}
    count = Counter(plain.values())
    return {name: known for name, known in plain.items() if name != known and known in KNOWN and count[known] == 1}


def require_names(names: Iterable[str], where: str) -> None:
    """Raise DataError for a column's name that is none by its length: each message would be as long."""
    odd = next((name for name in names if len(name) > LONGEST_NAME), None)
    if odd is not None:
        raise DataError(
            f"{where}: expected names of columns, got one of {len(odd):,} characters ({odd[:40]!r}...). Give the "
            "file a first line with the names of its columns, or the rows short keys."
        )


def rename_known(dataset: Dataset, where: str) -> Dataset:
    """The dataset with the columns of `known_names` renamed, which is said."""
    require_names(dataset.column_names, where)
    others = known_names(dataset.column_names)
    _say(others, where)
    return dataset.rename_columns(others) if others else dataset


def with_known_names(rows: Iterable[Row], where: str) -> Iterator[Row]:
    """The rows of a stream with the columns of `known_names`, told by the first of them, renamed, which is said."""
    rows = iter(rows)
    first = list(itertools.islice(rows, LOOKED_AT))
    names = dict.fromkeys(name for row in first for name in row)
    require_names(names, where)
    others = known_names(names)
    _say(others, where)
    for row in itertools.chain(first, rows):
        yield {others.get(name, name): value for name, value in row.items()} if others else row


def _say(others: dict[str, str], where: str) -> None:
    if others:
        warn_once(f"{where}: {', '.join(f'{name!r} is read as {known}' for name, known in others.items())}.")


@functools.cache
def warn_once(text: str) -> None:
    """A line for the user, however often the rows are read."""
    logger.warning("%s", text)


FLAG = "--columns"
CHECKED_ROWS = 1000  # of a stream, in which a column must have come


@dataclass(frozen=True)
class ColumnNames:
    """What is read and what the rows call it, as pairs; none where the rows' own names are those that are read.

    Attributes:
        flag: what messages call the setting.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    flag: str = field(default=FLAG, compare=False)

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
    names = ColumnNames(tuple((read.strip(), own.strip()) for read, own in pairs), f"--{setting.removeprefix('--')}")
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
                f"{source}: {names.flag} {read}={own}: there is no column '{own}' among {_listed(columns)}. {hint}"
            )
        if read in columns and read not in wanted:
            raise DataError(
                f"{source}: {names.flag} {read}={own}: there is a column '{read}' already, and two cannot have one "
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
