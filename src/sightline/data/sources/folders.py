"""Read a folder: find the row files of a split by their names, or read what `save_to_disk` of `datasets` wrote."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.sources.bad_rows import say_once
from sightline.data.sources.shards import PICTURES
from sightline.data.sources.text_files import opened_text, row_kind
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

KINDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".tar")
SPLIT_WORDS = {  # as `datasets` has them
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
# What other programs keep beside rows.
DESCRIPTIONS = frozenset(("config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"))
SHOWN_FILES = 5
HEAD_LETTERS = 1000


def split_files(folder: Path, split: str | None) -> list[Path]:
    """The files of a split, all of one kind, in the order of their names; none where the folder has no rows for it.

    A file that is called as the split comes alone, then those whose name, or whose folder's, says the split, then for
    training all that say none. Beside files of another kind, JSON that is no list holds no rows.

    Raises:
        DataError: they are of several kinds, of which only one could be read.
    """
    wanted = split or "train"
    files = row_files(folder)
    found = [file for file in files if file.parent == folder and _stem(file) == wanted.lower()]
    found = found or [file for file in files if split_of(file, folder, wanted) == wanted]
    if not found and wanted == "train":
        found = [file for file in files if split_of(file, folder, wanted) is None]
    gone = next((file for file in found if not file.exists()), None)
    if gone is not None:
        raise DataError(f"{gone} is a link to {gone.readlink()}, which is not there. Mend it, or copy the file.")
    kinds = sorted({row_kind(file) for file in found})
    if len(kinds) > 1:
        found = [file for file in found if row_kind(file) != ".json" or _is_list(file)]
        kinds = sorted({row_kind(file) for file in found})
    if len(kinds) > 1:
        raise DataError(
            f"{folder}: expected rows in files of one kind, found {_shown(found, folder)}, and nobody can tell whether "
            "they hold the same rows. Name one of these files, or move the others elsewhere."
        )
    return found


def say_unread(folder: Path, files: list[Path], split: str | None) -> None:
    """A line about files of rows that belong to no split, or to the one that is read, and are not read."""
    wanted = split or "train"
    others = [file for file in row_files(folder) if file not in files]
    others = [file for file in others if split_of(file, folder, wanted) in (None, wanted)]
    if others:
        say_once(
            f"{folder}: {wanted} is read from {_shown(files, folder)}; not read: {_shown(others, folder)}. To read one "
            "of these, name it."
        )


def splits_of(folder: Path) -> list[str]:
    """The splits that files of rows in a folder name, in order."""
    found = (split_of(file, folder, "train") for file in row_files(folder))
    return sorted({split for split in found if split is not None})


def row_files(folder: Path) -> list[Path]:
    """Every file of rows below a folder, in the order of names, but hidden ones and those that describe a picture."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        kinds = {name: row_kind(Path(name)) for name in names if not name.startswith(".")}
        pictures = {Path(name).stem for name, kind in kinds.items() if kind.lstrip(".") in PICTURES}
        found += [
            Path(place, name)
            for name, kind in kinds.items()
            if kind in KINDS and name not in DESCRIPTIONS and not (kind == ".json" and Path(name).stem in pictures)
        ]
    return sorted(file for file in found if file.is_file() or file.is_symlink())


def split_of(file: Path, folder: Path, wanted: str) -> str | None:
    """The split that a file's name says, else that of the nearest folder; None where none does."""
    for part in (_stem(file), *reversed(file.relative_to(folder).parts[:-1])):
        words = {wanted: (wanted,)} | SPLIT_WORDS
        words[wanted] = (wanted.lower(), *SPLIT_WORDS.get(wanted, ()))
        for split, names in words.items():
            if re.search(rf"(?<![a-z])(?:{'|'.join(map(re.escape, names))})(?![a-z])", part.lower()):
                return split
    return None


def _is_list(file: Path) -> bool:
    """Whether a JSON file begins as a list of rows does; an object beside other rows describes something."""
    with opened_text(file) as text:
        return text.read(HEAD_LETTERS).lstrip().startswith("[")


def _raise(error: OSError) -> None:
    raise error


def _stem(file: Path) -> str:
    """The name of a file without the suffixes of its kind and packing."""
    stem = file.name.lower()
    while Path(stem).suffix and row_kind(Path(stem)) in KINDS:
        stem = Path(stem).stem
    return stem


def _shown(files: Iterable[Path], folder: Path) -> str:
    names = [str(file.relative_to(folder)) for file in files]
    more = len(names) - SHOWN_FILES
    return ", ".join(names[:SHOWN_FILES]) + (f" and {more:,} more" if more > 0 else "")


ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"
STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


def is_saved(folder: Path) -> bool:
    """Whether a folder is that of a dataset, or of one for each split."""
    return (folder / STATE).is_file() or (folder / SPLITS).is_file()


def read_saved(folder: Path) -> Dataset | DatasetDict:
    """The dataset of a folder, or those of its splits, without the format that a training loop left it in.

    `load_from_disk` takes "::" in a path for an archive and what is in it.

    Raises:
        DataError: a part of it is cut or gone.
    """
    from datasets import DatasetDict

    try:
        if not (folder / SPLITS).is_file():
            return _part(folder)
        return DatasetDict({split: _part(folder / split) for split in _json(folder / SPLITS)["splits"]})
    except (DataError, PermissionError):
        raise
    except Exception as error:  # nothing of what it holds was checked by who wrote it
        raise DataError(
            f"{folder} is no whole dataset of save_to_disk: {error!s:.300}. Copy or save it again."
        ) from error


def require_arrow_end(path: Path) -> None:
    """Raise DataError for an Arrow stream without the mark at its end: Arrow takes a cut between two batches for it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(ARROW_END)))
        if file.read() != ARROW_END:
            raise DataError(f"{path} is no whole Arrow file: it is cut. Copy or write it again.")


def _part(folder: Path) -> Dataset:
    from datasets import Dataset, DatasetInfo, Split, concatenate_datasets

    state, info = _json(folder / STATE), DatasetInfo.from_dict(_json(folder / INFO))
    info.description = info.citation = info.homepage = info.license = ""
    split = Split(state["_split"]) if state.get("_split") else None
    files = [folder / file["filename"] for file in state["_data_files"]]
    for file in files:
        require_arrow_end(file)
    parts = [Dataset.from_file(str(file), info=info, split=split) for file in files]
    whole = concatenate_datasets(parts) if len(parts) > 1 else parts[0]
    whole.data.table.validate(full=True)  # what is garbled within would end the interpreter where it is read
    return whole


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
