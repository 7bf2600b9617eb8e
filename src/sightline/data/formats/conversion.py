"""Write rows in another format: TRL's, LLaVA's, or Parquet with the images inside."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.config import require_short
from sightline.data.encoding.rendering import require_row_words
from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.formats.converted import TrainingRows
from sightline.data.formats.written import kto_row, llava_row, preference_row, sft_row
from sightline.data.pictures.columns import PictureAccess, PictureFinder, beside, close_images, is_opened
from sightline.data.pictures.fetched import fetched_folders
from sightline.data.pictures.images import encoded_format, named_key, read_whole, row_images, stored_image
from sightline.data.pictures.opener import picture_bytes
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.datasets import read_dataset, row_name, source_name
from sightline.data.sources.new_file import new_file, picture_folder
from sightline.data.sources.shards import PICTURES
from sightline.errors import ConfigError, DataError

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]
Track = Callable[[Iterable[Any], int, str], Iterable[Any]]

PARQUET_ROWS = 100  # in a row group: pictures of one are in memory at once
IMAGE_CHOICES = ("copy", "reference")


@dataclass(frozen=True)
class Target:
    """A format that can be written: the ending of its file, how rows are read for it, and how each is written."""

    suffix: str
    read: Callable[..., TrainingRows] | None = None
    write: Callable[[Row, str], Iterator[Row]] | None = None


TARGETS = {
    "trl-sft": Target(".jsonl", sft_rows, sft_row),
    "trl-dpo": Target(".jsonl", preference_rows, preference_row),
    "trl-kto": Target(".jsonl", preference_rows, kto_row),
    "llava": Target(".json", sft_rows, llava_row),
    "parquet": Target(".parquet"),
}


@dataclass(frozen=True)
class ConversionSettings:
    """What is converted; the names are those of the command's options.

    Attributes:
        to: one of TARGETS.
        images: `copy` pictures into a folder beside the file, or `reference` them where they lie.
        allow_outside: copy pictures from outside of the dataset's folders, too.
    """

    source: str
    out: str
    to: str
    images: str = "copy"
    split: str | None = None
    config: str | None = None
    pictures: PictureAccess = field(default_factory=PictureAccess)
    allow_outside: bool = False


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        format: what the source's rows were; "rows as they are" for Parquet.
        rows_in, rows_out: rows read, and rows written.
        pictures: distinct pictures copied.
        left_out: rows of which nothing could be made.
        bad_rows: why rows cannot be used that `skip_bad_rows` left out.
    """

    path: Path
    format: str
    rows_in: int
    rows_out: int
    pictures: int
    left_out: int
    bad_rows: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for the user."""
        parts = [f"{self.rows_in:,} rows ({self.format}) became {self.rows_out:,}"]
        if self.pictures:
            parts.append(f"{self.pictures:,} pictures copied")
        if self.left_out:
            parts.append(f"{self.left_out:,} left out")
        if self.bad_rows:
            parts.append(f"{len(self.bad_rows):,} left out that cannot be used")
        return ", ".join(parts) + "."


def run_convert(settings: ConversionSettings, track: Track = lambda items, total, title: items) -> Conversion:
    """The source's rows in a new file, which appears whole or not at all, with its pictures.

    Raises:
        ConfigError: an unknown format, or a file that is there already.
        DataError: a row that cannot be read, or not be expressed; with its name.
    """
    target, out = _checked(settings)
    noted: list[str] = []
    access = replace(settings.pictures, keep_missing=True, noted=noted)  # bad rows are told of with all others
    dataset = read_dataset(settings.source, settings.split, settings.config, access)
    name = source_name(settings.source, settings.split)
    refers = settings.images == "reference" and target.write is not None  # Parquet holds pictures whatever is asked for
    rule = CopyRule(settings.source, settings.pictures, settings.allow_outside or refers)
    if target.read is None or target.write is None:
        good, problems = _good_rows(dataset, rule, name, settings)
        return _write_parquet(good, [*noted, *problems], out, track)
    rows = target.read(dataset, name, skip_bad_rows=settings.pictures.skip_bad_rows)
    count = 0
    bad = BadRows(settings.pictures.skip_bad_rows)
    with new_file(out) as new:
        store = _PictureStore(new.folder, out, settings.images, rule)
        for place, row in enumerate(track(rows.dataset, len(rows.dataset), f"Writing {out.name}")):
            origin = row_name(name, place if rows.origins is None else rows.origins[place])
            with bad.of_row(place):
                require_row_words(row, rows.format.goal == "preferences", "text", origin)
                made = list(target.write(row, origin))
                pictures = store.columns(row, origin, listed=settings.to != "llava")
                for written in made:
                    new.file.write(_line({**written, **pictures}, settings.to, count).encode())
                    count += 1
        bad.settle(count)
        if settings.to == "llava":
            new.file.write(b"\n]\n")
    bad_rows, read = (*noted, *rows.bad.values(), *bad.problems), len(dataset) + len(noted)
    return Conversion(out, rows.format.name, read, count, len(store.copied), rows.left_out, bad_rows)


def _good_rows(dataset: Any, rule: CopyRule, name: str, settings: ConversionSettings) -> tuple[Any, list[str]]:
    """The rows whose pictures may be copied, and why the others may not."""
    bad = BadRows(settings.pictures.skip_bad_rows)
    find_bad_pictures(close_images(dataset), rule, lambda index: row_name(name, index), bad)
    kept = [index for index in range(len(dataset)) if not bad.holds(index)]
    bad.settle(len(kept))
    return dataset.select(kept) if bad.problems else dataset, bad.problems


def _checked(settings: ConversionSettings) -> tuple[Target, Path]:
    out = Path(settings.out).expanduser()
    if settings.to not in TARGETS:
        raise ConfigError(f"--to: expected one of {', '.join(TARGETS)}; got '{settings.to}'.")
    if settings.images not in IMAGE_CHOICES:
        raise ConfigError(f"--images: expected one of {', '.join(IMAGE_CHOICES)}; got '{settings.images}'.")
    target = TARGETS[settings.to]
    if out.suffix != target.suffix:
        raise ConfigError(f"OUT: expected a file that ends in {target.suffix} for {settings.to}, got {settings.out}.")
    copies = target.write is not None and settings.images == "copy"
    for place in (out, picture_folder(out)) if copies else (out,):
        require_short(place, "OUT")
        if place.exists():
            raise ConfigError(f"OUT: {place} is there already. Name another file, or remove it.")
    return target, out


def _line(row: Row, to: str, index: int) -> str:
    """A row as a line of JSONL, or as an element of LLaVA's list."""
    if to == "llava":
        order = {key: row[key] for key in ("id", "image", "system", "conversations") if key in row}
        return ("[\n" if not index else ",\n") + json.dumps(order, ensure_ascii=False)
    return json.dumps(row, ensure_ascii=False) + "\n"


class _PictureStore:
    """Paths that the new rows name their pictures by, each distinct picture copied once."""

    def __init__(self, folder: Path, out: Path, choice: str, rule: CopyRule) -> None:
        self.folder = folder
        self.out = out
        self.choice = choice
        self.rule = rule
        self.copied: set[str] = set()
        self._known: dict[str, str] = {}

    def columns(self, row: Row, name: str, listed: bool) -> Row:
        """The image columns of the new row, as the old one has them; with `listed` false always `image`."""
        own = [self._path(value, name) for value in row_images(row)]
        rejected = row.get("rejected_images")
        others = {"rejected_images": [self._path(value, name) for value in rejected]} if rejected else {}
        if not own:
            return others
        if listed and row.get("images") is not None:
            return {"images": own, **others}
        return {"image": own[0] if len(own) == 1 else own, **others}

    def _path(self, value: Any, name: str) -> str:
        path = value.get("path") if value.get("bytes") is None else None
        if path is not None and path in self._known:
            return self._known[path]
        self.rule.require(value, name)
        if self.choice == "reference":
            return self._reference(path, name)
        suffix = Path(path).suffix.lower().lstrip(".") if path is not None else ""
        if suffix not in PICTURES:
            suffix = encoded_format(path if path is not None else value["bytes"], name)
        file = f"{named_key(value, name)}.{suffix}"
        if file not in self.copied:
            self.folder.mkdir(exist_ok=True)
            content = picture_bytes(path) if path is not None else value["bytes"]
            (self.folder / file).write_bytes(content)
            self.copied.add(file)
        relative = f"{picture_folder(self.out).name}/{file}"
        if path is not None:
            self._known[path] = relative
        return relative

    def _reference(self, path: str | None, name: str) -> str:
        if path is None:
            raise DataError(
                f"{name}: expected a picture in a file, got one inside the rows, which cannot be referenced. "
                "Use --images copy."
            )
        self._known[path] = os.path.relpath(path, self.out.absolute().parent)
        return self._known[path]


def _write_parquet(dataset: Any, bad_rows: list[str], out: Path, track: Track) -> Conversion:
    """The rows with all their columns, pictures inside, as `load_dataset("parquet")` opens them."""
    import pyarrow.parquet
    from datasets.table import embed_table_storage

    batches = dataset.with_format("arrow").iter(batch_size=PARQUET_ROWS)
    total = -(-len(dataset) // PARQUET_ROWS)
    schema = dataset.features.arrow_schema
    with new_file(out) as new, pyarrow.parquet.ParquetWriter(new.file, schema) as writer:
        for batch in track(batches, total, f"Writing {out.name}"):
            table = _with_contents(batch.cast(schema), dataset.features)
            writer.write_table(embed_table_storage(table).cast(schema))
    rows = len(dataset)
    return Conversion(out, "rows as they are", rows + len(bad_rows), rows, 0, 0, tuple(bad_rows))


def _with_contents(table: Any, features: Any) -> Any:
    """The table with the bytes of its pictures, whose paths `datasets` would part at "::"."""
    import pyarrow

    for place, column in enumerate(table.schema):
        if not is_opened(features[column.name]):
            continue
        values = [
            [_content(one) for one in value] if isinstance(value, list) else _content(value)
            for value in table.column(place).to_pylist()
        ]
        table = table.set_column(place, column, pyarrow.array(values, column.type))
    return table


def _content(record: Row | None) -> Row | None:
    if record is None or record["bytes"] is not None:
        return record
    return {"bytes": picture_bytes(record["path"]), "path": record["path"]}


class CopyRule:
    """What of a source's pictures is copied.

    A row may name any file of the machine, and whoever is given the output is given what was copied into it. So a
    picture lies below the folder of the dataset, its folder `images`, or `image_folder`, whatever links lead to it.
    """

    def __init__(self, source: str | Path, access: PictureAccess, allow_outside: bool) -> None:
        path = Path(source).expanduser()
        folder = path if path.is_dir() else path.parent
        roots = [folder, *PictureFinder(folder, access, *beside(path)).folders]
        if access.allow_urls:
            roots += fetched_folders()
        self._roots = tuple(dict.fromkeys(_with_snapshots(root.resolve()) for root in roots))
        if not path.exists():  # of the Hub, whose files lie where `datasets` keeps them
            from datasets import config

            self._roots = (Path(config.HF_CACHE_HOME).resolve(), *self._roots[1:])
        self._allow_outside = allow_outside
        self._known: set[str | bytes] = set()

    def require(self, value: Any, name: str) -> None:
        """Nothing for a closed picture that may be copied.

        Raises:
            DataError: it cannot be read, or lies outside of the folders; begins with `name`.
        """
        stored = stored_image(value)
        key = hashlib.blake2b(stored, digest_size=16).digest() if isinstance(stored, bytes) else stored
        if key is None or key in self._known:
            return
        read_whole(stored, name)
        if not isinstance(stored, str):
            self._known.add(key)
            return
        place = Path(stored).resolve()
        if not self._allow_outside and not any(place.is_relative_to(root) for root in self._roots):
            raise DataError(
                f"{name}: image '{stored}' lies outside of {self._roots[0]}, and its content would go into the output. "
                "Name the folder of the pictures by --image_folder, or copy from anywhere by --allow_outside."
            )
        self._known.add(stored)


def closed_pictures(row: dict[str, Any], features: Any) -> list[Any]:
    """Every closed picture in the columns of a row, in whatever column it stands."""
    found: list[Any] = []
    for column, feature in features.items():
        if is_opened(feature) and row.get(column) is not None:
            found += row[column] if isinstance(row[column], list) else [row[column]]
    return found


def find_bad_pictures(dataset: Dataset, rule: CopyRule, name_of: Any, bad: BadRows) -> None:
    """Notes the rows of a dataset (images closed) whose pictures may not be copied, by their indices."""
    columns = [column for column, feature in dataset.features.items() if is_opened(feature)]
    for index, row in enumerate(dataset.select_columns(columns) if columns else ()):
        with bad.of_row(index):
            for value in closed_pictures(row, dataset.features):
                rule.require(value, name_of(index))


def _with_snapshots(root: Path) -> Path:
    """A folder, or for a snapshot of the Hub the folder of its repository, whose `blobs` its files are links to."""
    if "snapshots" in root.parts:
        return Path(*root.parts[: root.parts.index("snapshots")])
    return root
