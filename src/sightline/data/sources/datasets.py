"""Read rows from a file, a folder or the Hub into a `datasets.Dataset` with closed images."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.pictures.columns import PictureAccess, PictureFinder, beside, open_columns
from sightline.data.pictures.gathering import gather_pictures
from sightline.data.pictures.images import image_size, read_whole, rejected_images, row_images, stored_image
from sightline.data.sources.bad_rows import SHOWN_ROWS, say_once
from sightline.data.sources.column_names import rename_known, renamed
from sightline.data.sources.documents import holds_split, require_split
from sightline.data.sources.file_signatures import folder_signature
from sightline.data.sources.folders import is_saved, read_saved, say_unread, split_files, splits_of
from sightline.data.sources.row_files import READERS, class_rows, dataset_of, stream_rows
from sightline.data.sources.shards import PICTURES, read_shard_table
from sightline.data.sources.text_files import require_packed, row_kind
from sightline.data.tables import has_short, in_short_decimals
from sightline.errors import ConfigError, DataError, nearest
from sightline.progress import doing
from sightline.settings.places import unreachable

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset

HERE = PictureAccess()
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tgz")
STREAMED = (".jsonl", ".parquet", ".tar")
PEEKED_ROWS = 1000
PATTERN_MARKS = ("::", "*", "?", "[", "]", "$", "%")
CARD_BYTES = 2**16


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
        if row_kind(path) != ".json":  # whose splits may stand in its rows
            require_split(path, split)
        return _read_files([path], split, pictures)
    if path.is_dir():
        return _read_folder(path, split, config, pictures)
    _require_hub_id(name, path)
    return _opened(_load(str(name), split, config), PictureFinder(Path.cwd(), pictures), str(name), pictures)


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
    files = _files_of(path, split) or (_only_split(path) if split is None else [])
    if not files and not path.exists():
        _require_hub_id(name, path)
        unreachable()  # sets this process offline then, so that nothing tries for minutes
        stream = _choose_split(load_dataset(str(name), config, streaming=True), split, str(name))
        return renamed(stream, pictures.columns, str(name))
    if not files or row_kind(files[0]) not in STREAMED:
        raise ConfigError(
            f"streaming: expected a file of {', '.join(STREAMED)}, a folder of them, or a Hub id; got {name}, which is "
            "read as a whole. Set streaming to false, or convert it by `sightline data convert`."
        )
    root = str(path) if path.is_dir() else None
    if root is not None:
        say_unread(path, files, split)
    columns: dict[str, None] = {}
    for row in itertools.islice(stream_rows([str(file) for file in files], pictures, root), PEEKED_ROWS):
        columns |= dict.fromkeys(row)
    if not columns:
        raise DataError(f"{name} has no rows.")
    gen_kwargs = {"paths": [str(file) for file in files], "pictures": pictures, "columns": tuple(columns), "root": root}
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
    return f"{_shown_source(str(source))} row {index + 1}"


@functools.lru_cache(maxsize=64)
def _shown_source(source: str) -> str:
    path = Path(source)
    return path.name if row_kind(path) in READERS else source


def source_name(name: str | Path, split: str | None) -> str:
    """What messages call the rows of a source: its file, or the split of the folder or Hub id."""
    path = Path(name).expanduser()
    files = _files_of(path, split)
    if len(files) == 1:
        return str(files[0])
    return f"{name} {split}" if split else str(name)


def _even_rows(paths: list[str], pictures: PictureAccess, columns: tuple[str, ...], root: str | None) -> Any:
    """Rows that all have the same columns, as a stream must, and pictures that can be opened."""
    left_out: list[str] = []
    for path in paths:
        for index, row in enumerate(stream_rows([path], pictures, root)):
            try:
                _require_pictures(row, row_name(path, index), whole=pictures.skip_bad_rows)
            except DataError as error:
                if not pictures.skip_bad_rows:
                    raise
                left_out.append(str(error))
                if len(left_out) <= SHOWN_ROWS:
                    say_once(f"Left out: {error}")
                continue
            if not row.keys() <= set(columns):
                raise DataError(
                    f"{row_name(path, index)}: expected the columns of the first {PEEKED_ROWS} rows, "
                    f"{', '.join(columns)}; found {', '.join(row.keys() - set(columns))}, too. Set streaming to false."
                )
            yield {column: row.get(column) for column in columns}
    if len(left_out) > SHOWN_ROWS:
        say_once(f"Left out: {len(left_out):,} rows of the stream that cannot be used.")


def _require_pictures(row: dict[str, Any], name: str, whole: bool) -> None:
    """Raise DataError for a picture whose head, or with `whole` whose pixels, cannot be read."""
    for stored in map(stored_image, [*row_images(row), *rejected_images(row)]):
        if stored is not None:
            (read_whole if whole else image_size)(stored, name)


def _files_of(path: Path, split: str | None) -> list[Path]:
    """The row files behind a path: itself, or those of a split in a folder that nothing else describes."""
    if path.is_file():
        return [path]
    if not path.is_dir() or is_saved(path) or _has_configs(path):
        return []
    return split_files(path, split)


def _only_split(path: Path) -> list[Path]:
    """The files of the only split that a folder names, for who asks for none; none where it names several."""
    if not path.is_dir() or is_saved(path) or _has_configs(path):
        return []
    splits = splits_of(path)
    return _files_of(path, splits[0]) if len(splits) == 1 else []


def _has_configs(folder: Path) -> bool:
    """Whether a folder's README says which files are which, as on the Hub."""
    card = folder / "README.md"
    return card.is_file() and re.search(rb"(?m)^configs:", card.read_bytes()[:CARD_BYTES]) is not None


def _read_files(files: list[Path], split: str | None, pictures: PictureAccess, root: Path | None = None) -> Dataset:
    """The rows of files of one kind, one after another; `root` is the folder of all, from which paths count, too."""
    from datasets import concatenate_datasets

    if root is not None and row_kind(files[0]) == ".tar":
        shards = read_shard_table(files, pictures.skip_bad_rows, pictures.noted)
        return _opened(shards, PictureFinder(root, pictures), str(root), pictures)
    parts = []
    for file in files:
        kind = row_kind(file)
        if kind not in READERS:
            raise DataError(f"{file}: expected one of {', '.join(READERS)}, got '{kind}'. Rename or convert the file.")
        finder = _finder(file, pictures, root)
        parts.append(READERS[kind](file, finder, split if holds_split(file, split) or root is None else None))
    kept = [(file, part) for file, part in zip(files, parts, strict=True) if len(part)]
    if not kept:
        raise DataError(f"{root or files[0]} has no rows.")
    files, parts = [file for file, _ in kept], _even([part for _, part in kept], files)
    opened = [
        _opened(part, _finder(file, pictures, root), str(file), pictures)
        for file, part in zip(files, parts, strict=True)
    ]
    return opened[0] if len(opened) == 1 else concatenate_datasets(opened)


def _finder(file: Path, pictures: PictureAccess, root: Path | None) -> PictureFinder:
    return PictureFinder(file.parent, pictures, *beside(file), *([root] if root is not None else []))


def _even(parts: list[Dataset], files: list[Path]) -> list[Dataset]:
    """The parts with columns of the same types."""
    from datasets import concatenate_datasets

    if len(parts) == 1:
        return parts
    try:
        joined = concatenate_datasets(parts)
    except Exception as error:  # of `datasets` and pyarrow: columns of other types
        if row_kind(files[0]) in (".parquet", ".tar"):
            raise DataError(
                f"{files[0].parent}: the files {files[0].name} to {files[-1].name} have columns of other types, and do "
                f"not fit into one table: {error!s:.200}. Write them alike, or name one."
            ) from error
        joined = dataset_of([row for part in parts for row in part], files[0])
    ends = list(itertools.accumulate(map(len, parts)))
    return [joined.select(range(end - len(part), end)) for part, end in zip(parts, ends, strict=True)]


def _opened(dataset: Dataset, finder: PictureFinder, source: str, pictures: PictureAccess) -> Dataset:
    """The dataset under the names of columns that are read, with its pictures looked up; `file_name`, as image folders
    call it, is the image."""
    dataset = _in_short_decimals(renamed(dataset, pictures.columns, source))
    if pictures.gather:
        dataset = rename_known(dataset, row_name(source, 0).rpartition(" row ")[0])
    if "file_name" in dataset.column_names and not {"image", "images"} & set(dataset.column_names):
        dataset = dataset.rename_column("file_name", "image")
    read = gather_pictures if pictures.gather else open_columns
    return read(dataset, finder, lambda index: row_name(source, index))


def _in_short_decimals(dataset: Dataset) -> Dataset:
    """The dataset with numbers of single precision as people write them."""
    from datasets import Dataset, concatenate_datasets

    schema = dataset.features.arrow_schema
    short = [name for name in dataset.column_names if has_short(schema.field(name).type, name)]
    if not short or dataset.format["type"] == "custom":
        return dataset
    order = dataset.column_names
    table = in_short_decimals(dataset.select_columns(short).with_format("arrow")[:])
    others = [dataset.remove_columns(short)] if len(short) < len(order) else []
    return concatenate_datasets([*others, Dataset(table)], axis=1).select_columns(order)


def _read_folder(path: Path, split: str | None, config: str | None, pictures: PictureAccess) -> Dataset:
    finder = PictureFinder(path, pictures)
    if is_saved(path):
        return _opened(_choose_split(read_saved(path), split, str(path)), finder, str(path), pictures)
    files = _files_of(path, split) if config is None else []
    if files:
        say_unread(path, files, split)
        return _read_files(files, split, pictures, path)
    wanted = split or "train"
    for folder in (path / wanted, path) if wanted == "train" else (path / wanted,):
        rows = class_rows(folder)
        if rows:
            return _opened(dataset_of(rows, folder), PictureFinder(folder, pictures), str(path), pictures)
    only = _only_split(path) if split is None and config is None else []
    if only:
        return _read_files(only, None, pictures, path)
    splits = splits_of(path) if config is None and not _has_configs(path) else []
    if splits:
        raise DataError(
            f"{path} has no split '{wanted}'; it has {', '.join(splits)}. {nearest(wanted, splits)}".rstrip()
        )
    return _read_by_datasets(path, split, config, pictures)


def _read_by_datasets(path: Path, split: str | None, config: str | None, pictures: PictureAccess) -> Dataset:
    """A folder of what `load_dataset` alone knows: pictures without rows, archives, a README with configurations.

    Raises:
        DataError: it takes the folder's name for a pattern, and might read another folder.
    """
    odd = next((mark for mark in PATTERN_MARKS if mark in str(path.absolute())), None)
    if odd is not None:
        raise DataError(
            f"{path}: expected a folder without {odd!r} in its name, which `datasets` takes for a pattern. Rename it."
        )
    for packed in (file for file in path.rglob("*") if file.suffix in PACKED and file.is_file()):
        require_packed(packed)
    # `datasets` (5.0) knows files again by path and time of modification alone; a description is part of its key, too.
    content = folder_signature(path, PICTURES)
    loaded = _load(str(path), split, config, description=content)
    return _opened(loaded, PictureFinder(path, pictures), str(path), pictures)


def _require_hub_id(name: str | Path, path: Path) -> None:
    if (
        row_kind(path) in READERS
        or path.is_absolute()
        or str(name).startswith((".", "~"))
        or len(str(name).split("/")) > 2
    ):
        if path.is_symlink():
            raise DataError(f"{name} is a link to {path.readlink()}, which is not there. Mend it, or copy the file.")
        raise DataError(f"There is no file or folder {name}. Paths count from {Path.cwd()}.")


def _load(name: str, split: str | None, config: str | None, **known_by: str) -> Dataset:
    from datasets import load_dataset

    unreachable()
    try:
        with doing(f"Reading {name}"):
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
