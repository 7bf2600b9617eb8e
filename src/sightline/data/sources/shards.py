"""Read samples of WebDataset tar files from front to back, as a table in the cache of `datasets`."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sightline.data.sources.file_signatures import encoding_version, file_signature
from sightline.data.sources.text_files import COMPRESSED, COPY_BYTES, Unpacked, require_bytes, require_value
from sightline.data.tables import is_mixed, kept_texts, table_of
from sightline.errors import DataError
from sightline.launch.processes import say
from sightline.notation import NotationError, read_json

if TYPE_CHECKING:
    from datasets import Dataset, Features

Row = dict[str, Any]

IMAGE_COLUMNS = ("image", "images")
PICTURES = frozenset("jpg jpeg mpo png webp gif bmp tif tiff avif jp2 j2k ppm pgm pbm ico tga".split())


class BrokenShard(DataError):
    """A tar file that ends or breaks before its end."""


def read_shards(paths: Iterable[str], skip_broken: bool = False) -> Iterator[Row]:
    """A row for each sample: its picture as `image` (several as `images`), the keys of its JSON, its text as `caption`.

    Files of one sample share their name up to the first point and lie one after another. With `skip_broken`, a shard
    that is cut gives its samples before the cut.

    Raises:
        DataError: no tar file, or a broken sample; with shard and sample.
    """
    for path in paths:
        sample: dict[str, bytes] = {}
        key = ""
        try:
            for name, content in _members(Path(path)):
                stem, _, extension = PurePosixPath(name).name.partition(".")
                here = str(PurePosixPath(name).with_name(stem))
                if sample and here != key:
                    yield _row(key, sample, path)
                    sample = {}
                key = here
                sample[extension.lower()] = content
        except BrokenShard as error:
            if not skip_broken:
                where = f" The last sample that was met is {key}." if key else ""
                raise BrokenShard(f"{error}{where}") from error
            continue  # the sample at the cut may lack a part
        if sample:
            yield _row(key, sample, path)


def shard_problem(path: Path) -> str:
    """Where a tar file ends or breaks early, with its last file; empty for a whole one."""
    last = ""
    try:
        for name, _ in _members(path):
            last = name
    except DataError as error:
        return f"{error} What stands from {last or 'its start'} on is not read."
    return ""


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, until the end that a whole tar file has."""
    try:
        with _decompressed(path) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
            total = 0
            for member in archive:
                require_value(member.size, f"{path} member {member.name[:200]}", "a file")
                total += member.size  # that of a sparse member, too, which takes no room in the shard
                require_bytes(total, path)
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()
            while rest := stream.read(COPY_BYTES):  # a compressed file tells at its very end whether it is whole
                if any(rest):
                    raise tarfile.ReadError("it goes on after its end, as files do that were put one behind another")
    except DataError:
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise BrokenShard(
            f"{path}: expected a whole tar file of samples, got one that ends or breaks early: {error}. "
            "Copy or write the shard again."
        ) from error


def _decompressed(path: Path) -> Any:
    """The tar file in its plain form, read from the front."""
    with open(path, "rb") as file:
        head = file.read(6)
    opener = next((opener for magic, opener in COMPRESSED.items() if head.startswith(magic)), None)
    return open(path, "rb") if opener is None else Unpacked(opener(path, "rb"), path)


class _Header(tarfile.TarInfo):
    """A member's header that says where a file is cut or broken; `tarfile` itself takes that for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:  # type: ignore[override]
        """The next header; at two blocks of zeros, which end a whole tar file, what tells `tarfile` so."""
        try:
            return super().fromtarfile(archive)
        except _End:
            if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("it lacks the two blocks of zeros that end a tar file") from None
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset:,}") from None


_End: type[Exception] = tarfile.EOFHeaderError  # type: ignore[attr-defined]


def _row(key: str, sample: dict[str, bytes], path: str) -> Row:
    name = f"{Path(path).name} sample {key}"
    row: Row = {}
    named: Row = {}
    pictures = []
    for extension, content in sample.items():
        if extension.rpartition(".")[2] in PICTURES:
            pictures.append({"bytes": content, "path": f"{PurePosixPath(key).name}.{extension}"})
        elif extension == "json":
            named = _json_object(content, name)
            row |= {column: value for column, value in named.items() if column not in IMAGE_COLUMNS}
        else:
            row["caption" if extension == "txt" else extension] = _text(content, name, extension)
    absent = [value for column, value in named.items() if column in IMAGE_COLUMNS and value]
    if absent and not pictures:
        raise DataError(
            f"{name}: expected its pictures in the shard, got none, but its JSON names {str(absent[0])[:80]}. Put the "
            "file into the shard under the sample's name, or take the name out of the JSON."
        )
    if len(pictures) == 1:
        row["image"] = pictures[0]
    elif pictures:
        row["images"] = pictures
    return row | {"key": key}


def _json_object(content: bytes, name: str) -> Row:
    try:
        found = read_json(content, unique=True, for_table=True)
    except NotationError as error:
        raise DataError(f"{name}: no valid JSON ({error}). Mend the shard, or drop the sample.") from error
    if not isinstance(found, dict):
        raise DataError(f"{name}: expected a JSON object of columns, got {str(found)[:60]}. Mend the shard.")
    return found


def _text(content: bytes, name: str, extension: str) -> str:
    try:
        return content.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: .{extension} is neither a picture nor text in UTF-8. Leave it out of the shard."
        ) from error


SHARD_ROWS = 64  # samples in memory at once


class _OtherColumnsError(Exception):
    """A sample has other columns than the first; `datasets` would drop them without a word."""


def read_shard_table(paths: Sequence[Path], skip_broken: bool = False, noted: list[str] | None = None) -> Dataset:
    """A row for each sample, with the union of their columns; a column absent from a sample is None there.

    With `skip_broken`, a shard that is cut gives the samples before the cut, which is said each time, or `noted`.

    Raises:
        DataError: a shard is broken, or a column holds values that do not fit into one table.
    """
    shards = [str(path) for path in paths]
    # What `datasets` keeps the table under: a shard that changed, or that we read in another way since, is read again.
    stamps = (encoding_version(), *map(file_signature, paths))
    dataset = _generated(shards, stamps, skip_broken)
    if dataset is None or is_mixed(dataset.features):
        features = _features_of_all(shards, skip_broken)
        dataset = _generated(shards, stamps, skip_broken, features)
        if dataset is None:
            raise DataError(
                f"{shards[0]}: the samples do not fit into one table. Give a column one type in all of them."
            )
    for problem in filter(None, map(shard_problem, paths if skip_broken else ())):
        if noted is None:
            say(f"Left out: {problem}")
        else:
            noted.append(problem)
    for column, feature in _picture_features().items():
        if column in dataset.column_names:
            dataset = dataset.cast_column(column, feature)
    return dataset


def _generated(
    shards: list[str], stamps: tuple[str, ...], skip_broken: bool, features: Features | None = None
) -> Dataset | None:
    """The table of all samples; None where the first ones do not tell the columns of those behind them."""
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    given = {"shards": shards, "stamps": stamps, "skip_broken": skip_broken, "features": features}
    try:
        return Dataset.from_generator(_samples, features=features, gen_kwargs=given, writer_batch_size=SHARD_ROWS)
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, DataError | OSError):
            raise error.__cause__ from None
        return None


def _samples(shards: list[str], stamps: tuple[str, ...], skip_broken: bool, features: Features | None) -> Iterator[Row]:
    first = None
    for row in read_shards(shards, skip_broken):
        if features is not None:
            yield {name: _as_in(features, name, row) for name in features}
            continue
        first = row.keys() if first is None else first
        if row.keys() != first:
            raise _OtherColumnsError
        yield row


def _as_in(features: Features, name: str, row: Row) -> Any:
    """What the sample has in this column; a single picture as a list where others have several."""
    if name == "images" and "image" in row:
        return [row["image"]]
    value = row.get(name)
    return value if name in IMAGE_COLUMNS else kept_texts([value], features[name])[0]


def _features_of_all(shards: list[str], skip_broken: bool) -> Features:
    """The columns of all samples, without their pictures in memory."""
    from datasets import Features

    rows: list[Row] = []
    pictures: set[str] = set()
    for row in read_shards(shards, skip_broken):
        pictures |= row.keys() & set(IMAGE_COLUMNS)
        rows.append({name: value for name, value in row.items() if name not in IMAGE_COLUMNS})
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        texts = table_of({name: [row.get(name) for row in rows] for name in names}).features
    except Exception as error:  # pyarrow's own tree: invalid, type and overflow errors
        raise DataError(f"{shards[0]}: the samples do not fit into one table: {error}") from error
    column = max(pictures, default=None)  # `images` where some have several
    return Features({**({column: _picture_features()[column]} if column else {}), **texts})


def _picture_features() -> dict[str, Any]:
    from datasets import Image, List

    return {"image": Image(), "images": List(Image())}
