"""Check whether items are the complete benchmark, so that scores may carry its name."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.evaluation.items import Items
from sightline.evaluation.task import Source, Task


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
