"""Cases with the values that the peers themselves gave, and items to score them on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sightline.scoring.records import Item

RANDOM = "__RANDOM__"
"""The peer draws an answer at random; ours is unparsed."""


def read_cases(shared: Path, name: str) -> dict[str, Any]:
    """A file of conformance cases, with the peers it came from."""
    path = shared / "conformance" / name
    content = path.read_bytes()
    data: dict[str, Any] = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    assert len(data["cases"]) == data.get("n_cases", len(data["cases"]))
    return data


def item(answers: Iterable[str] = ("",), options: Iterable[str] = (), **facts: Any) -> Item:
    """An item of no task, with category and group among the facts."""
    return Item(
        id=facts.pop("id", "1"),
        name="case",
        question="?",
        options=tuple(options),
        answers=tuple(answers),
        category=facts.pop("category", ""),
        group=facts.pop("group", ""),
        facts=facts,
    )
