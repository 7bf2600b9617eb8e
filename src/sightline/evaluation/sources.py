"""Find a task's items: a file or folder, a folder of benchmarks, or the Hub."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.data.formats.columns import gathered
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.column_names import OWN_NAMES, ColumnNames, read_columns, renamed
from sightline.data.sources.datasets import read_dataset
from sightline.data.sources.documents import require_split
from sightline.data.sources.row_files import READERS
from sightline.data.sources.stored import DatasetTable, RowTable
from sightline.data.sources.text_files import row_kind
from sightline.data.sources.tsv import TsvTable, has_picture_cells, read_tsv
from sightline.errors import ConfigError, DataError
from sightline.evaluation.items import Items, collect_items
from sightline.evaluation.task import Source, Task
from sightline.evaluation.taught_rows import asked_table, say_words_unread, taught_table
from sightline.settings.places import unreachable

if TYPE_CHECKING:
    from datasets import Dataset

FOLDER_VARIABLES = ("SIGHTLINE_BENCHMARKS", "LMUData")
"""Environment variables that name folders of benchmark files; the second is VLMEvalKit's."""

_ALL = "*"
OWN = PictureAccess(gather=False)  # for benchmarks, whose readers know their columns


@dataclass(frozen=True)
class DataChoice:
    """Rows to evaluate, named like the flags of `sightline eval`.

    Attributes:
        data: a file, a folder or a Hub id (ID or ID@REVISION), in place of the task's own sources.
        split, config: which part of `data` to read, where it has several.
        benchmarks: a folder of benchmark files; by default those in `SIGHTLINE_BENCHMARKS` and `LMUData`.
        limit: use only the first N items; rotations of one question count as one.
        skip_bad_rows: leave out and list rows that cannot be used; otherwise the run stops at them.
        image_folder: where relative image paths in `data` start; the folder of `data` by default.
        columns: new names for columns of `data`.
    """

    data: str | None = None
    split: str | None = None
    config: str | None = None
    benchmarks: Path | None = None
    limit: int | None = None
    skip_bad_rows: bool = False
    image_folder: str | Path | None = None
    columns: ColumnNames = OWN_NAMES

    @property
    def may_hold_bad_rows(self) -> bool:
        """Whether rows that cannot be used end nothing by themselves: those behind the limit are not asked for."""
        return self.skip_bad_rows or self.limit is not None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit: expected at least 1, got {self.limit}.")
        if self.benchmarks is not None and not self.benchmarks.is_dir():
            raise ConfigError(f"--benchmarks: there is no folder {self.benchmarks}. Name the one that holds the files.")


@dataclass(frozen=True)
class _Opened:
    source: Source
    table: RowTable
    notes: tuple[str, ...] = ()
    bad_rows: tuple[str, ...] = ()


def load_items(task: Task, choice: DataChoice | None = None) -> Items:
    """The items of a task, every one of them checked and every distinct picture opened once.

    Raises:
        DataError: no source can be reached (the message says where to get one), or a row cannot be used.
    """
    choice = choice or DataChoice()
    if choice.data is None and choice.split is not None:
        raise ConfigError(f"--split: '{choice.split}' of what? A benchmark has its own. Leave it out, or add --data.")
    opened = _open_named(task, choice, choice.data) if choice.data is not None else _open_own(task, choice)
    items = collect_items(task, opened.source, opened.table, choice.limit, choice.skip_bad_rows)
    return replace(items, notes=(*opened.notes, *items.notes), bad_rows=(*opened.bad_rows, *items.bad_rows))


def open_rows(task: Task, source: Source) -> RowTable:
    """The rows of a task's source that a run has recorded. Raises DataError where it cannot be reached from here."""
    names = read_columns(source.columns)
    if source.kind == "tsv":
        return _as_asked(task, _open_tsv(source, Path(source.place).expanduser(), names)).table
    if source.kind == "hub":
        return _open_hub(task, source, names, skip_bad_rows=True).table
    access = PictureAccess(source.image_folder or None, gather=not task.sources, keep_missing=True, columns=names)
    dataset = read_dataset(source.place, source.split or None, source.config or None, access)
    rows = _Opened(source, DatasetTable(dataset, Path(source.place).name))
    return _as_asked(task, rows, skip_bad_rows=True).table  # the run would have refused what it did not leave out


def where_to_get(source: Source) -> str:
    """One line: the address of a source, or how to fetch it."""
    if source.kind == "hub":
        return f"https://huggingface.co/datasets/{source.place}"
    return source.address or source.place


def _open_named(task: Task, choice: DataChoice, data: str) -> _Opened:
    """What `--data` names. A Hub id takes split and configuration from the task's own Hub source, unless given."""
    path, names = Path(data).expanduser(), choice.columns
    if path.is_file() and row_kind(path) == ".tsv" and (task.sources or has_picture_cells(path, names)):
        require_split(path, choice.split)
        return _as_asked(task, _open_tsv(Source("tsv", data, columns=str(names)), path, names))
    if path.exists() or path.is_symlink() or row_kind(path) in READERS or path.is_absolute() or data.startswith("."):
        folder = str(choice.image_folder) if choice.image_folder is not None else None
        access = PictureAccess(
            folder, keep_missing=True, gather=not task.sources, skip_bad_rows=choice.skip_bad_rows, columns=names,
            noted=[],
        )  # fmt: skip
        dataset = read_dataset(data, choice.split, choice.config, access)
        source = Source("file", data, choice.config or "", choice.split or "", "", "", "", str(names), folder or "")
        table = DatasetTable(dataset, path.name if path.is_file() else data)
        opened = _Opened(source, table, bad_rows=tuple(access.noted or ()))
        return _as_asked(task, opened, choice.may_hold_bad_rows)
    own = next((source for source in task.sources if source.kind == "hub"), Source("hub", data))
    place, _, revision = data.partition("@")
    found = Source("hub", place, choice.config or own.config, choice.split or own.split, revision, columns=str(names))
    return _open_hub(task, found, names, choice.may_hold_bad_rows)


def _as_asked(task: Task, opened: _Opened, skip_bad_rows: bool = False) -> _Opened:
    """The rows with questions; for a task that has no rows of its own, rows that training reads become that."""
    if task.sources:
        return opened
    if isinstance(opened.table, TsvTable):
        say_words_unread((record.cells for record in opened.table.records), opened.table.path.name)
        return replace(opened, table=asked_table(opened.table, opened.table.columns))
    assert isinstance(opened.table, DatasetTable)
    taught = taught_table(opened.table.dataset, opened.table.source, skip_bad_rows)
    if taught is None:
        return replace(opened, table=asked_table(opened.table, opened.table.dataset.column_names))
    return _Opened(opened.source, taught, (*opened.notes, taught.note), opened.bad_rows)


def _open_own(task: Task, choice: DataChoice) -> _Opened:
    """The first of the task's sources that lies in a folder of benchmarks, else the first that the Hub gives."""
    if not task.sources:
        raise DataError(f"{task.name}: no rows are named. Pass a file, a folder or a Hub id by --data.")
    folders = _folders(choice)
    for source in task.sources:
        for folder in folders:
            opened = _open_local(source, folder)
            if opened is not None:
                return opened
    failures = []
    for source in (source for source in task.sources if source.kind == "hub"):
        try:
            opened = _open_hub(task, source)
        except DataError as error:
            failures.append(str(error))
            continue
        return replace(opened, notes=(*failures, *opened.notes))
    raise DataError(_nowhere(task, folders, failures))


def _folders(choice: DataChoice) -> tuple[Path, ...]:
    if choice.benchmarks is not None:
        return (choice.benchmarks,)
    named = [part for name in FOLDER_VARIABLES for part in os.environ.get(name, "").split(os.pathsep) if part]
    return tuple(Path(part).expanduser() for part in named)


def _open_local(source: Source, folder: Path) -> _Opened | None:
    """A source's copy in a folder: the file, or for a Hub dataset OWNER/NAME or NAME; None where it is not there."""
    places = (folder / source.place, folder / source.place.rpartition("/")[2])
    path = next((place for place in places if place.exists()), None)
    if path is None:
        return None
    if source.kind == "tsv":
        return _open_tsv(source, path)
    if source.kind == "file":
        return _Opened(replace(source, place=str(path)), DatasetTable(read_dataset(path, pictures=OWN), path.name))
    dataset = read_dataset(path, source.split or None, source.config or None, OWN)
    found = replace(source, kind="file", place=str(path))
    return _Opened(found, DatasetTable(dataset, source.place), (f"{path} was taken as {source.place}.",))


def _open_tsv(source: Source, path: Path, names: ColumnNames = OWN_NAMES) -> _Opened:
    table = read_tsv(path, names)
    notes: tuple[str, ...] = ()
    if source.md5 and table.md5 != source.md5:
        notes = (f"{path.name} is not the published file: expected MD5 {source.md5}, got {table.md5}.",)
    return _Opened(replace(source, place=str(path), md5=table.md5), table, notes)


def _open_hub(task: Task, source: Source, names: ColumnNames = OWN_NAMES, skip_bad_rows: bool = False) -> _Opened:
    """A Hub dataset at the pinned revision, or at the present one, which is recorded.

    Raises:
        DataError: it cannot be loaded.
    """
    unreachable()  # sets this process offline then, so that nothing tries for minutes
    try:
        revision = source.revision or _resolve_revision(source.place)
        dataset = renamed(_load_all(replace(source, revision=revision)), names, source.place)
    except DataError:
        raise
    except Exception as error:  # the Hub's and datasets' trees: missing, gated, unreachable, broken files
        reason = str(error).split("\n")[0]
        raise DataError(f"{source.place} could not be loaded from the Hub: {reason}") from error
    name = f"{source.place} ({source.split})" if source.split else source.place
    unknown = f"The revision of {source.place} is not known: the Hub was out of reach, a stored copy was used."
    notes = () if revision else (unknown,)
    dataset = dataset if task.sources else gathered(dataset, name)
    opened = _Opened(replace(source, revision=revision), DatasetTable(dataset, name), notes)
    return _as_asked(task, opened, skip_bad_rows)


def _resolve_revision(place: str) -> str:
    """The commit that a Hub dataset's main branch is at; empty when the Hub cannot be asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi().dataset_info(place).sha or ""
    except HfHubHTTPError:  # it answered: there is no such dataset, or it is gated
        raise
    except Exception:  # no connection, in the trees of several HTTP libraries
        return ""


def _load_all(source: Source) -> Dataset:
    """The rows of a Hub source; "*" as configuration or split means all of them, one after another."""
    from datasets import concatenate_datasets, get_dataset_config_names, get_dataset_split_names, load_dataset

    revision = source.revision or None
    configs = [source.config or None]
    if source.config == _ALL:
        configs = list(get_dataset_config_names(source.place, revision=revision))
    parts = []
    for config in configs:
        splits = [source.split or "train"]
        if source.split == _ALL:
            splits = list(get_dataset_split_names(source.place, config, revision=revision))
        parts += [load_dataset(source.place, config, split=split, revision=revision) for split in splits]
    return parts[0] if len(parts) == 1 else concatenate_datasets(parts)


def _nowhere(task: Task, folders: tuple[Path, ...], failures: list[str]) -> str:
    """The message of a task whose rows are nowhere: what was tried, where to get them, how to point to them."""
    looked = ", ".join(str(folder) for folder in folders) or "no folder (none is named)"
    lines = [
        f"{task.name}: expected one of its sources, found none. Looked in {looked}.",
        *failures,
        "Get one of:",
        *(f"  {source.place}: {where_to_get(source)}" for source in task.sources),
        f"Put it into a folder and name that by --benchmarks FOLDER or {FOLDER_VARIABLES[0]}, or pass it by --data.",
    ]
    return "\n".join(lines)
