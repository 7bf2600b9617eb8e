"""Read what `save_to_disk` of `datasets` wrote, from its own files only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

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
