"""Turn a table of rows into items, checked and fingerprinted, and tell whether they are the whole benchmark."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sightline.data.sources.bad_rows import BadRows, left_out, listed
from sightline.data.sources.stored import Row, RowTable
from sightline.errors import DataError
from sightline.evaluation.task import Source, Task
from sightline.scoring.records import Item


@dataclass(frozen=True)
class Items:
    """The items of a task and where they came from.

    Attributes:
        source: the source that was used, with the revision that was found.
        fingerprint: of ids, texts, gold answers and pictures: equal for equal items, whatever file they came in.
        bad_rows: messages of the rows that were left out.
        notes: what someone who compares scores must know of the source.
        row_numbers: of each item by its id, the row it was made of, from 1.
    """

    items: tuple[Item, ...]
    source: Source
    fingerprint: str
    bad_rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    row_numbers: Mapping[str, int] = field(default_factory=dict)


def collect_items(task: Task, source: Source, table: RowTable, limit: int | None, skip_bad_rows: bool) -> Items:
    """The first `limit` items of a table (all by default); items of one group count as one.

    Raises:
        DataError: a row cannot be used and `skip_bad_rows` is off, or none is left.
    """
    collector = _Collector(task, limit)
    bad = BadRows(skip_bad_rows)
    for index in range(len(table)):
        with bad.of_row(index):
            collector.add(source.kind, table.row(index))
        if collector.is_full:
            break
    bad.settle(len(collector.items))
    bad_rows = bad.problems
    whole, torn = _whole_groups(collector.items)
    items = whole if bad_rows else tuple(collector.items)
    if not items:
        reason = f" Rows that are bad:\n{listed(bad_rows)}" if bad_rows else ""
        raise DataError(f"{source.place}: none of {len(table)} rows is an item of {task.name}.{reason}")
    return Items(
        items=items,
        source=source,
        fingerprint=fingerprint(items),
        bad_rows=(*bad_rows, *torn) if bad_rows else (),
        notes=_of_torn_groups(items) if torn and not bad_rows else (),
        row_numbers=collector.row_numbers,
    )


def say_of_rows(name: str, items: Items) -> None:
    """On stderr, rows that were left out, and a line where no question shows a picture: a column may be missed."""
    place = items.source.place
    if items.bad_rows:
        rows = len(items.items) + len(items.bad_rows)
        print(left_out(Path(place).name, items.bad_rows, rows), file=sys.stderr)
    if not any(item.pictures for item in items.items):
        print(f"{name}: none of the {len(items.items):,} questions of {place} has a picture.", file=sys.stderr)


def fingerprint(items: tuple[Item, ...]) -> str:
    """A key of what is asked and what is gold (BLAKE2b, 128 bits, hexadecimal)."""
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        shown = tuple(picture.key for picture in item.pictures)
        digest.update(repr((item.id, item.question, item.options, item.answers, item.group, shown)).encode())
        digest.update(repr(item.turns).encode() if item.turns else b"")
    return digest.hexdigest()


def _whole_groups(items: list[Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """The items without those of groups that lost a member to a bad row, and a message for each left out.

    A question with three of its four rotations would be easier to answer right in all of them.
    """
    sizes = Counter(item.group for item in items)
    torn = {item.group for item in items if item.group and sizes[item.group] < item.facts.get("group_size", 0)}
    messages = (f"{item.name}: left out, as a row of its group {item.group} is bad." for item in items)
    return (
        tuple(item for item in items if item.group not in torn),
        tuple(message for item, message in zip(items, messages, strict=True) if item.group in torn),
    )


def _of_torn_groups(items: tuple[Item, ...]) -> tuple[str, ...]:
    """What to know of a source that lacks rows of its groups by itself."""
    sizes = Counter(item.group for item in items if item.group)
    wanted = {item.group: item.facts.get("group_size", 0) for item in items if item.group}
    torn = [group for group, size in sizes.items() if size < wanted[group]]
    return (
        f"{len(torn):,} of {len(sizes):,} groups lack a row ({', '.join(torn[:3])}{', ...' if len(torn) > 3 else ''}): "
        "they are easier to answer right as a whole.",
    )


class _Collector:
    """Items added row by row, each checked against those before it."""

    def __init__(self, task: Task, limit: int | None) -> None:
        self.task = task
        self.limit = limit
        self.items: list[Item] = []
        self.row_numbers: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._units: set[str] = set()
        self._opened: set[str] = set()
        self._has_groups = False
        self._gold: Item | None = None

    @property
    def is_full(self) -> bool:
        """Whether no later row can add an item; with groups there is no telling, as their rows may lie far apart."""
        return len(self._units) == self.limit and not self._has_groups

    def add(self, kind: str, row: Row) -> None:
        """The items of one row, all or none. Raises DataError where one of them cannot be used."""
        found: dict[str, Item] = {}
        units: set[str] = set()
        for item in self.task.read(kind, [row]):
            unit = item.group or item.id
            is_new = unit not in self._units and unit not in units
            if is_new and len(self._units) + len(units) == self.limit:
                continue
            self._check(item)
            found[item.id] = item
            if is_new:
                units.add(unit)
        self._units |= units
        self._names |= {item.id: item.name for item in found.values()}
        self.row_numbers |= dict.fromkeys(found, row.number)
        self._has_groups = self._has_groups or any(item.group for item in found.values())
        self.items += found.values()

    def _check(self, item: Item) -> None:
        if item.id in self._names:
            raise DataError(
                f"{item.name}: the id '{item.id}' is that of {self._names[item.id]} already. Give each row its own."
            )
        if self.task.categories and item.category not in self.task.categories:
            raise DataError(
                f"{item.name}: expected the category to be one of {', '.join(self.task.categories)}; got "
                f"'{item.category:.60}', which no score counts. Mend the row, or leave it out."
            )
        strange = [gold for gold in item.answers if self.task.golds and gold not in self.task.golds]
        if strange:
            raise DataError(
                f"{item.name}: expected the answer to be {' or '.join(self.task.golds)}, got '{strange[0]:.60}'. "
                "No answer would be right. Mend the row, or leave it out."
            )
        self._check_reading(item)
        for picture in item.pictures:
            if picture.key not in self._opened:
                picture.open()
                self._opened.add(picture.key)

    def _check_reading(self, item: Item) -> None:
        """Gold answers that are numbers mean one thing in a whole dataset."""
        if not item.gold_read_as:
            return
        self._gold = self._gold or item
        first = self._gold
        if item.gold_read_as != first.gold_read_as:
            raise DataError(
                f"{item.name}: the answer is a number that only the {item.gold_read_as} of an option explains; that of "
                f"{first.name} is the {first.gold_read_as} of one. Write letters, or texts in quotes."
            )


def doubts(task: Task, items: Items, limit: int | None) -> tuple[str, ...]:
    """Why the items are not known to be the whole benchmark; empty where they are, or where the task is none."""
    if not task.sources:
        return ()
    return (*_of_source(task, items.source), *_of_completeness(task, items, limit))


def _of_source(task: Task, source: Source) -> Iterator[str]:
    if source.columns:
        yield f"its columns were renamed ({source.columns})"
    own = [known for known in task.sources if known.kind == source.kind]
    if source.kind == "hub":
        same = [known for known in own if _is_same(known, source)]
        if not same:
            yield f"{source.place} is not one of its sources"
        elif not source.revision:
            yield f"the revision of {source.place} is not known"
        elif not any(known.revision in ("", source.revision) for known in same):
            yield f"{source.place} was loaded at {source.revision}, not at the pinned {same[0].revision}"
    elif not any(known.md5 and known.md5 == source.md5 for known in own):
        yield f"{source.place} has no checksum that its publisher names"


def _is_same(known: Source, source: Source) -> bool:
    return (known.place, known.config, known.split) == (source.place, source.config, source.split)


def _of_completeness(task: Task, items: Items, limit: int | None) -> Iterator[str]:
    if items.bad_rows:
        yield f"{len(items.bad_rows):,} rows were left out"
    if limit is not None:
        yield f"--limit asked for the first {limit:,}"
    # A file with the publisher's checksum is whole, however its rows become items.
    if task.rows and items.source.kind != "tsv" and len(items.items) != task.rows:
        yield f"there are {len(items.items):,} items, and the benchmark has {task.rows:,}"
