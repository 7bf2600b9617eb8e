"""Made rows as a Hub dataset or a TSV file of the same schema would give them."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

from sightline.data.sources.stored import DatasetTable
from sightline.data.sources.tsv import read_tsv
from sightline.evaluation.items import Items, collect_items
from sightline.evaluation.task import Source
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.records import Item


def picture(colour: str, size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


RED, BLUE = picture("red"), picture("blue", (5, 2))


def dataset_of(*rows: dict[str, Any]) -> datasets.Dataset:
    """Rows as a dataset; a cell of bytes is an encoded picture, and its column an `Image` feature."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name, cells in columns.items():
        if any(isinstance(cell, bytes) for cell in cells):
            columns[name] = [None if cell is None else {"bytes": cell, "path": None} for cell in cells]
    dataset = datasets.Dataset.from_dict(columns)
    for name, cells in columns.items():
        if any(isinstance(cell, dict) and cell.keys() == {"bytes", "path"} for cell in cells):
            dataset = dataset.cast_column(name, datasets.Image())
    return dataset


def from_hub(task: str, *rows: dict[str, Any]) -> tuple[Item, ...]:
    """The items of rows in the schema of the task's Hub dataset."""
    table = DatasetTable(dataset_of(*rows), "made")
    return collect_items(load_task(task), Source("hub", "made"), table, None, False).items


def write_tsv(path: Path, *rows: dict[str, Any]) -> Path:
    """Rows as a TSV file; bytes are written in base64."""
    cells = [
        {name: base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell for name, cell in row.items()}
        for row in rows
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(cells)
    return path


def from_tsv(folder: Path, task: str, *rows: dict[str, Any], skip_bad_rows: bool = False) -> Items:
    """The items of rows in the schema of the task's TSV file."""
    path = write_tsv(folder / "Made.tsv", *rows)
    return collect_items(load_task(task), Source("tsv", str(path)), read_tsv(path), None, skip_bad_rows)
