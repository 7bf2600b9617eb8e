"""Read rows from a file, a folder or the Hub into a `datasets.Dataset`, with pictures left closed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.images import IMAGE_COLUMNS
from sightline.errors import DataError, nearest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Row = dict[str, Any]


def read_dataset(name: str | Path, split: str | None = None, config: str | None = None) -> Dataset:
    """The rows, with `image`, `images` and `rejected_images` of paths turned into `datasets.Image` features, undecoded.

    A path in a local file counts from that file's folder. Every distinct one is checked to exist before this returns.

    Args:
        name: a .jsonl, .json, .csv, .tsv or .parquet file, a folder (written by `save_to_disk`, or holding
            `SPLIT.jsonl` and the like, or any other that `load_dataset` takes), or a Hub id.
        split: "train" by default, or the only split there is.
        config: the configuration of a Hub dataset that has several.

    Raises:
        DataError: nothing there, a broken line, a missing picture, an unknown split; with file and row.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return _read_file(path)
    if path.is_dir():
        return _read_folder(path, split, config)
    if path.suffix in READERS or path.is_absolute() or str(name).startswith("."):
        raise DataError(f"There is no file or folder {name}. Paths count from {Path.cwd()}.")
    return _read_hub(str(name), split, config)


def row_name(source: str | Path, index: int) -> str:
    """What messages call a row, counted from 1: `train.jsonl row 12`."""
    path = Path(source)
    return f"{path.name if path.suffix in READERS else source} row {index + 1}"


def _read_file(path: Path) -> Dataset:
    if path.suffix not in READERS:
        raise DataError(
            f"{path}: expected one of {', '.join(READERS)}, got '{path.suffix}'. Rename or convert the file."
        )
    try:
        dataset = READERS[path.suffix](path)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not encoded in UTF-8 ({error.reason} at byte {error.start}). Convert it."
        ) from error
    if not len(dataset):
        raise DataError(f"{path} has no rows.")
    return _open_columns(dataset, path)


def _read_jsonl(path: Path) -> Dataset:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path.name} line {number}: no valid JSON ({error.msg}, column {error.colno})."
                ) from error
            if not isinstance(row, dict):
                raise DataError(f"{path.name} line {number}: expected an object of columns, got {line.strip()[:60]}.")
            rows.append(row)
    return _dataset_of(rows, path)


def _read_json(path: Path) -> Dataset:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path.name} line {error.lineno}: no valid JSON ({error.msg}, column {error.colno}). "
            "If it has one object a line, call it .jsonl."
        ) from error
    rows = content.get("data") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f'{path.name}: expected a list of rows, or {{"data": [rows]}}, each row an object of columns.')
    return _dataset_of(rows, path)


def _read_csv(path: Path) -> Dataset:
    # Each value stays text: guessed types would turn the answers "None" and "N/A" into missing ones, and "007" into 7.
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    for index, row in enumerate(rows):
        if None in row:
            raise DataError(f"{row_name(path, index)}: more values than the header has columns ({len(row) - 1}).")
    return _dataset_of([{column: value or None for column, value in row.items()} for row in rows], path)


def _read_parquet(path: Path) -> Dataset:
    import pyarrow
    import pyarrow.parquet
    from datasets import Dataset

    try:
        return Dataset(pyarrow.parquet.read_table(path, memory_map=True))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} is no Parquet file that can be read: {error}.") from error


READERS: dict[str, Callable[[Path], Dataset]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}


def _dataset_of(rows: Sequence[Row], path: Path) -> Dataset:
    """Rows with the union of their columns; a column absent from a row is None there."""
    from datasets import Dataset

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    try:
        # What Arrow cannot give one type (an answer that is 2 here and "two" there, message content that is a string
        # here and a list of parts there) is stored as JSON and comes back as it was.
        return Dataset.from_dict(columns, on_mixed_types="use_json")
    except Exception as error:  # pyarrow's own tree: invalid, type and overflow errors
        raise DataError(f"{path.name}: the rows do not fit into one table: {error}") from error


def _open_columns(dataset: Dataset, path: Path) -> Dataset:
    """Resolve and check the paths of image columns, and give these their lazy feature."""
    from datasets import Image, List, Value

    order = dataset.column_names
    lookup = _Lookup(path)
    for column in (name for name in order if name in IMAGE_COLUMNS):
        kind = dataset.features[column]
        if kind not in (Value("string"), List(Value("string"))):
            continue
        records = [lookup.records(value, index) for index, value in enumerate(dataset[column][:])]
        feature = Image() if kind == Value("string") else List(Image())
        # Added before the other is removed: a table whose last column goes forgets how many rows it has.
        dataset = dataset.add_column(f"{column} (opened)", records, feature=feature).remove_columns(column)
        dataset = dataset.rename_column(f"{column} (opened)", column)
    return dataset.select_columns(order)


class _Lookup:
    """Paths of one source made absolute, each distinct one looked up once."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.folder = source.absolute().parent
        self.known: dict[str, Row] = {}

    def records(self, value: str | list[str] | None, index: int) -> Any:
        """`datasets.Image` storage for a path, for each of a list of paths, or None."""
        if isinstance(value, list):
            return [self.records(path, index) for path in value]
        if value is None or value in self.known:
            return value and self.known[value]
        path = value if "://" in value else str(self.folder / value)
        if "://" not in value and not Path(path).is_file():
            raise DataError(
                f"{row_name(self.source, index)}: image '{value}' not found in {self.folder}. "
                "Paths count from the file's folder; mend the path or drop the row."
            )
        self.known[value] = {"bytes": None, "path": path}
        return self.known[value]


def _read_folder(path: Path, split: str | None, config: str | None) -> Dataset:
    from datasets import load_from_disk

    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return _choose_split(load_from_disk(str(path)), split, str(path))
    for suffix in READERS:
        file = path / f"{split or 'train'}{suffix}"
        if file.is_file():
            return _read_file(file)
    return _load(str(path), split, config)


def _read_hub(name: str, split: str | None, config: str | None) -> Dataset:
    if len(name.split("/")) > 2:
        raise DataError(f"There is no file or folder {name}. Paths count from {Path.cwd()}.")
    return _load(name, split, config)


def _load(name: str, split: str | None, config: str | None) -> Dataset:
    from datasets import load_dataset

    try:
        return _choose_split(load_dataset(name, config), split, name)
    except DataError:
        raise
    except ConnectionError as error:
        raise DataError(
            f"{name} is no file or folder here, and the Hub cannot be reached ({error}). "
            "Go online once so that it is cached, or pass a file or a folder."
        ) from error
    except Exception as error:  # datasets raises from several trees: missing, gated, script-based, broken files
        raise DataError(f"The dataset {name} could not be loaded: {error}") from error


def _choose_split(loaded: Dataset | DatasetDict, split: str | None, name: str) -> Dataset:
    from datasets import Dataset

    if isinstance(loaded, Dataset):
        return loaded
    wanted = split or ("train" if "train" in loaded or len(loaded) != 1 else next(iter(loaded)))
    if wanted in loaded:
        return loaded[wanted]
    raise DataError(f"{name} has no split '{wanted}'; it has {', '.join(loaded)}. {nearest(wanted, loaded)}".rstrip())
