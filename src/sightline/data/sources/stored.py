"""Rows of files and datasets whose images stay closed until they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL.Image import Image

from sightline.data.pictures.columns import close_images
from sightline.data.pictures.images import named_key, open_image
from sightline.data.sources.answers import class_columns, class_names
from sightline.types import Turn

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Row:
    """One row of a source, as it lies there.

    Attributes:
        name: for messages ("POPE.tsv row 12").
        number: its place in the source, from 1.
        cells: value by column; a column of pictures holds a `Picture`, a tuple of them, or None.
        turns: what was said before the question of a row that was a conversation.
    """

    name: str
    number: int
    cells: Mapping[str, Any]
    turns: tuple[Turn, ...] = ()


class RowTable(Protocol):
    """Rows that are read one at a time, in any order."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> Row:
        """The row at `index`, from 0. Raises DataError where it cannot be used."""
        ...


@dataclass(frozen=True)
class FilePicture:
    """A picture in a file of its own, or the bytes of one."""

    stored: Path | str | bytes
    key: str
    name: str

    def open(self) -> Image:
        """The picture, upright, in RGB."""
        return open_image(self.stored, self.name)


@dataclass(frozen=True, eq=False)
class DatasetPicture:
    """A picture in a cell of a dataset, read again whenever it is opened."""

    cells: Dataset
    index: int
    part: int | None
    key: str
    name: str

    @property
    def stored(self) -> dict[str, Any]:
        """The picture as the cell holds it: `path`, `bytes` or both."""
        value = next(iter(self.cells[self.index].values()))
        record: dict[str, Any] = value if self.part is None else value[self.part]
        return record

    def open(self) -> Image:
        """The picture, upright, in RGB."""
        return open_image(self.stored, self.name)


class DatasetTable:
    """The rows of a loaded dataset; pictures become `DatasetPicture`s, all other cells stay as they are."""

    def __init__(self, dataset: Dataset, source: str) -> None:
        self.dataset = close_images(dataset)
        self.source = source
        self._classes = class_columns(self.dataset.features)
        self._columns = {name: self.dataset.select_columns([name]) for name in self.dataset.column_names}

    def __len__(self) -> int:
        return len(self.dataset)

    def row(self, index: int) -> Row:
        """The row at `index`, from 0. Raises DataError where a picture's file is missing."""
        name = f"{self.source} row {index + 1}"
        stored = self.dataset[index]
        return Row(name, index + 1, {column: self._cell(column, index, stored[column], name) for column in stored})

    def _cell(self, column: str, index: int, value: Any, name: str) -> Any:
        if column in self._classes:
            return class_names(self._classes[column], value)
        if _is_picture(value):
            return self._picture(column, index, None, value, name)
        if isinstance(value, list) and value and all(_is_picture(part) for part in value):
            return tuple(self._picture(column, index, number, part, name) for number, part in enumerate(value))
        return value

    def _picture(self, column: str, index: int, part: int | None, value: Any, name: str) -> DatasetPicture | None:
        if value["bytes"] is None and value["path"] is None:
            return None
        return DatasetPicture(self._columns[column], index, part, named_key(value, name), name)


def _is_picture(value: Any) -> bool:
    """Whether a cell is the record that `datasets.Image(decode=False)` stores."""
    return isinstance(value, dict) and value.keys() == {"bytes", "path"}
