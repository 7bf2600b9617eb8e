"""Names of columns as people write them: spaces around one that is known, and its capitals, are no part of it."""

from __future__ import annotations

import functools
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("sightline")

Row = dict[str, Any]

# Those that formats and questions are read by; a test holds them against the table of formats.
KNOWN = frozenset(
    "image images rejected_images file_name messages conversations prompt completion completions chosen rejected "
    "question answer answers caption captions text label options choices query response rejected_response "
    "rejected_messages rejected_conversations chosen_response instruction input output history system tools "
    "chat_template_kwargs".split()
)
LOOKED_AT = 100  # rows of a stream, which must have the same columns


def known_names(names: Iterable[str]) -> dict[str, str]:
    """What each column is called that is known but for spaces and capitals; not where the exact name is there, too."""
    names = list(names)
    plain = {name: name.strip().lower() for name in names}
    count = Counter(plain.values())
    return {name: known for name, known in plain.items() if name != known and known in KNOWN and count[known] == 1}


def rename_known(dataset: Dataset, where: str) -> Dataset:
    """The dataset with the columns of `known_names` renamed, which is said."""
    others = known_names(dataset.column_names)
    _say(others, where)
    return dataset.rename_columns(others) if others else dataset


def with_known_names(rows: Iterable[Row], where: str) -> Iterator[Row]:
    """The rows of a stream with the columns of `known_names`, told by the first of them, renamed, which is said."""
    rows = iter(rows)
    first = list(itertools.islice(rows, LOOKED_AT))
    others = known_names(dict.fromkeys(name for row in first for name in row))
    _say(others, where)
    for row in itertools.chain(first, rows):
        yield {others.get(name, name): value for name, value in row.items()} if others else row


def _say(others: dict[str, str], where: str) -> None:
    if others:
        _say_once(f"{where}: {', '.join(f'{name!r} is read as {known}' for name, known in others.items())}.")


@functools.cache
def _say_once(text: str) -> None:
    logger.warning("%s", text)
