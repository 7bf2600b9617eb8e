"""Read rows from a file, a folder or the Hub into a `datasets.Dataset`, with pictures left closed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.bad_rows import SHOWN_ROWS
from sightline.data.bounds import require_packed
from sightline.data.column_names import renamed
from sightline.data.documents import require_split
from sightline.data.file_signatures import folder_signature
from sightline.data.gathering import gather_pictures
from sightline.data.images import image_size, read_whole, rejected_images, row_images, stored_image
from sightline.data.picture_columns import PictureAccess, PictureFinder, open_columns
from sightline.data.row_files import (
    READERS,
    ROW_SUFFIXES,
    class_rows,
    dataset_of,
    not_utf8,
    require_arrow_end,
    stream_rows,
)
from sightline.data.shard_table import read_shard_table
from sightline.data.shards import PICTURES
from sightline.errors import ConfigError, DataError, nearest
from sightline.launch.processes import say
from sightline.settings.hub import unreachable

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset

HERE = PictureAccess()
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tgz")
STREAMED = (".jsonl", ".parquet", ".tar")
PEEKED_ROWS = 1000


def read_dataset(
    name: str | Path, split: str | None = None, config: str | None = None, pictures: PictureAccess = HERE
) -> Dataset:
    """The rows, with `image`, `images` and `rejected_images` as `datasets.Image` features, undecoded.

    Pictures may be paths, base64, bytes or addresses. A path in a local file counts from that file's folder, or from
    `images` in it. Every distinct one is checked to exist before this returns.

    Args:
        name: a file (see `READERS`), a folder (written by `save_to_disk`, or holding `SPLIT.jsonl` and the like, tar
            shards, pictures with `metadata.jsonl`, pictures in a folder for each class, or any other that
            `load_dataset` takes), or a Hub id.
        split: "train" by default, or the only split there is. A file holds "train" and what its name says.
        config: the configuration of a Hub dataset that has several.
        pictures: where paths count from, whether addresses are fetched, and what the rows call their columns.

    Raises:
        DataError: nothing there, a broken line, a missing picture, an unknown split; with file and row.
    """
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix != ".json":  # whose splits may stand in its rows
            require_split(path, split)
        return _read_file(path, split, pictures)
    if path.is_dir():
        return _read_folder(path, split, config, pictures)
    _require_hub_id(name, path)
    return _opened(_load(str(name), split, config), Path.cwd(), str(name), pictures)


def stream_dataset(
    name: str | Path, split: str | None = None, config: str | None = None, pictures: PictureAccess = HERE
) -> IterableDataset:
    """The rows of `read_dataset`, read while they are used: JSONL, Parquet, tar shards, or a Hub id.

    Raises:
        DataError: nothing there. Broken rows raise when they are reached.
        ConfigError: a kind of source that cannot be streamed.
    """
    from datasets import IterableDataset, load_dataset

    path = Path(name).expanduser()
    if path.is_file():
        require_split(path, split)
    files = _files_of(path, split)
    if not files and not path.exists():
        _require_hub_id(name, path)
        unreachable()  # sets this process offline then, so that nothing tries for minutes
        stream = _choose_split(load_dataset(str(name), config, streaming=True), split, str(name))
        return renamed(stream, pictures.columns, str(name))
    if not files or files[0].suffix not in STREAMED:
        raise ConfigError(
            f"streaming: expected a file of {', '.join(STREAMED)}, a folder of them, or a Hub id; got {name}, which is "
            "read as a whole. Set streaming to false, or convert it by `sightline data convert`."
        )
    columns: dict[str, None] = {}
    for row in itertools.islice(stream_rows([str(file) for file in files], pictures), PEEKED_ROWS):
        columns |= dict.fromkeys(row)
    if not columns:
        raise DataError(f"{name} has no rows.")
    gen_kwargs = {"paths": [str(file) for file in files], "pictures": pictures, "columns": tuple(columns)}
    return IterableDataset.from_generator(_even_rows, gen_kwargs=gen_kwargs)


@dataclass(frozen=True)
class RowNames:
    """Names of rows that do not lie as they do in their source: `numbers` are their indices there."""

    source: str
    numbers: Sequence[int]

    def name(self, index: int) -> str:
        """The name of a row, as its source counts it."""
        return row_name(self.source, self.numbers[index])


def row_name(source: str | Path | RowNames, index: int) -> str:
    """What messages call a row, counted from 1: `train.jsonl row 12`."""
    if isinstance(source, RowNames):
        return source.name(index)
    path = Path(source)
    return f"{path.name if path.suffix in READERS else source} row {index + 1}"


def source_name(name: str | Path, split: str | None) -> str:
    """What messages call the rows of a source: its file, or the split of the folder or Hub id."""
    path = Path(name).expanduser()
    files = _files_of(path, split)
    if len(files) == 1:
        return str(files[0])
    return f"{name} {split}" if split else str(name)


def _even_rows(paths: list[str], pictures: PictureAccess, columns: tuple[str, ...]) -> Any:
    """Rows that all have the same columns, as a stream must, and pictures that can be opened."""
    left_out: list[str] = []
    for path in paths:
        for index, row in enumerate(stream_rows([path], pictures)):
            try:
                _require_pictures(row, row_name(path, index), whole=pictures.skip_bad_rows)
            except DataError as error:
                if not pictures.skip_bad_rows:
                    raise
                left_out.append(str(error))
                if len(left_out) <= SHOWN_ROWS:
                    _say_once(f"Left out: {error}")
                continue
            if not row.keys() <= set(columns):
                raise DataError(
                    f"{row_name(path, index)}: expected the columns of the first {PEEKED_ROWS} rows, "
                    f"{', '.join(columns)}; found {', '.join(row.keys() - set(columns))}, too. Set streaming to false."
                )
            yield {column: row.get(column) for column in columns}
    if len(left_out) > SHOWN_ROWS:
        _say_once(f"Left out: {len(left_out):,} rows of the stream that cannot be used.")


@functools.cache
def _say_once(text: str) -> None:
    """A line about a stream, which is read anew in each pass."""
    say(text)


def _require_pictures(row: dict[str, Any], name: str, whole: bool) -> None:
    """Raise DataError for a picture whose head, or with `whole` whose pixels, cannot be read."""
    for stored in map(stored_image, [*row_images(row), *rejected_images(row)]):
        if stored is not None:
            (read_whole if whole else image_size)(stored, name)


def _files_of(path: Path, split: str | None) -> list[Path]:
    """The row files behind a path: itself, the split's file in a folder, or its tar shards.

    Shards that are not named after a split are all of them "train".
    """
    if path.is_file():
        return [path]
    wanted = split or "train"
    found = [file for suffix in ROW_SUFFIXES if (file := path / f"{wanted}{suffix}").is_file()][:1]
    found = found or sorted(path.glob(f"{wanted}*.tar"))
    return found or (sorted(path.glob("*.tar")) if wanted == "train" else [])


def _read_file(path: Path, split: str | None, pictures: PictureAccess) -> Dataset:
    if path.suffix not in READERS:
        raise DataError(
            f"{path}: expected one of {', '.join(READERS)}, got '{path.suffix}'. Rename or convert the file."
        )
    try:
        dataset = READERS[path.suffix](path, PictureFinder(path.parent, pictures), split)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    if not len(dataset):
        raise DataError(f"{path} has no rows.")
    return _opened(dataset, path.parent, str(path), pictures)


def _opened(dataset: Dataset, folder: Path, source: str, pictures: PictureAccess) -> Dataset:
    """The dataset under the names of columns that are read, with its pictures looked up; `file_name`, as image folders
    call it, is the image."""
    dataset = renamed(dataset, pictures.columns, source)
    if "file_name" in dataset.column_names and not {"image", "images"} & set(dataset.column_names):
        dataset = dataset.rename_column("file_name", "image")
    read = gather_pictures if pictures.gather else open_columns
    return read(dataset, PictureFinder(folder, pictures), lambda index: row_name(source, index))


def _read_folder(path: Path, split: str | None, config: str | None, pictures: PictureAccess) -> Dataset:
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return _opened(_choose_split(_saved(path), split, str(path)), path, str(path), pictures)
    files = _files_of(path, split)
    if files and files[0].suffix == ".tar":
        return _opened(read_shard_table(files, pictures.skip_bad_rows), path, str(path), pictures)
    if files:
        return _read_file(files[0], split, pictures)
    wanted = split or "train"
    for folder in (path / wanted, path) if wanted == "train" else (path / wanted,):
        for suffix in (".jsonl", ".csv"):
            if (folder / f"metadata{suffix}").is_file():
                return _read_file(folder / f"metadata{suffix}", None, pictures)
        rows = class_rows(folder)
        if rows:
            return _opened(dataset_of(rows, folder), folder, str(path), pictures)
    for packed in (file for file in path.rglob("*") if file.suffix in PACKED and file.is_file()):
        require_packed(packed)
    # `datasets` (5.0) knows files again by path and time of modification alone; a description is part of its key, too.
    content = folder_signature(path, PICTURES)
    return _opened(_load(str(path), split, config, description=content), path, str(path), pictures)


def _saved(path: Path) -> Dataset | DatasetDict:
    """What `save_to_disk` wrote; raises DataError where a part of it is cut or gone."""
    from datasets import load_from_disk

    try:
        saved = load_from_disk(str(path))
        for part in saved.values() if isinstance(saved, dict) else (saved,):
            for file in part.cache_files:
                require_arrow_end(Path(file["filename"]))
            part.data.table.validate(full=True)  # what is garbled within would end the interpreter where it is read
            part.info.description = part.info.citation = part.info.homepage = part.info.license = ""
        return saved.with_format(None)  # of tensors, or with columns hidden, as a training loop left it
    except DataError:
        raise
    except Exception as error:  # `datasets` checks nothing of what it reads there
        raise DataError(
            f"{path} is no whole dataset of save_to_disk: {error!s:.300}. Copy or save it again."
        ) from error


def _require_hub_id(name: str | Path, path: Path) -> None:
    if (
        path.suffix in READERS
        or path.is_absolute()
        or str(name).startswith((".", "~"))
        or len(str(name).split("/")) > 2
    ):
        raise DataError(f"There is no file or folder {name}. Paths count from {Path.cwd()}.")


def _load(name: str, split: str | None, config: str | None, **known_by: str) -> Dataset:
    from datasets import load_dataset

    unreachable()
    try:
        return _choose_split(load_dataset(name, config, **known_by), split, name)
    except DataError:
        raise
    except ConnectionError as error:
        raise DataError(
            f"{name} is no file or folder here, and the Hub cannot be reached ({error}). "
            "Go online once so that it is cached, or pass a file or a folder."
        ) from error
    except Exception as error:  # datasets raises from several trees: missing, gated, script-based, broken files
        raise DataError(f"The dataset {name} could not be loaded: {error}") from error


def _choose_split(loaded: Dataset | DatasetDict, split: str | None, name: str) -> Any:
    if not isinstance(loaded, dict):
        if split not in (None, "train", str(loaded.split)):
            raise DataError(
                f"{name} has no split '{split}': it was saved as one dataset. Name the folder that holds '{split}', or "
                "leave the split out."
            )
        return loaded
    wanted = split or ("train" if "train" in loaded or len(loaded) != 1 else next(iter(loaded)))
    if wanted in loaded:
        return loaded[wanted]
    raise DataError(f"{name} has no split '{wanted}'; it has {', '.join(loaded)}. {nearest(wanted, loaded)}".rstrip())
