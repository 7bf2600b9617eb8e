"""Which layouts of authors are known, told apart by config.json alone; each is imported when a folder has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.models.published.folder import Folder, read_folder

if TYPE_CHECKING:
    from sightline.models.published.layout import Parts


@dataclass(frozen=True)
class Layout:
    """A layout that transformers does not load by itself.

    Attributes:
        name: for messages and documentation.
        has: whether a config.json, as an object, is of this layout.
        parts: imports what it is loaded by; a class of ours is registered with transformers by this.
    """

    name: str
    has: Callable[[Mapping[str, Any]], bool]
    parts: Callable[[], Parts]


@dataclass(frozen=True)
class Recognised:
    """A folder whose layout is known."""

    folder: Folder
    layout: Layout


def recognise(name: str, revision: str | None = None) -> Recognised | None:
    """The layout of a folder or Hub id; None for what transformers loads by itself, or cannot load either."""
    folder = read_folder(name, revision)
    if folder is None:
        return None
    found = next((layout for layout in LAYOUTS if layout.has(folder.settings)), None)
    return Recognised(folder, found) if found is not None else None


# The first that has a folder's config.json is taken.
LAYOUTS: list[Layout] = []
