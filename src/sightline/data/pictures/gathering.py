"""Gather all images of a row in one column, whether columns, records or message parts name them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from sightline.data.pictures.columns import PictureFinder, close_images, is_opened, open_columns, refused_picture
from sightline.data.pictures.images import IMAGE_COLUMNS
from sightline.data.pictures.messages import in_front, spoken_columns, take_pictures, take_row, taken_rows
from sightline.data.pictures.names import WORDS, buried_pictures, picture_columns, series
from sightline.data.pictures.records import refuse_address
from sightline.data.sources.column_names import warn_once
from sightline.data.sources.kept_rows import dataset_of_pictures
from sightline.data.tables import is_list, table_of
from sightline.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


Row = dict[str, Any]
NameOf = Callable[[int], str]
OWN = ("image", "images")
LOOKED_AT = 100  # rows in which the columns of pictures are told from others


def gather_pictures(dataset: Dataset, finder: PictureFinder, name_of: NameOf) -> Dataset:
    """The dataset with its pictures in `image` or `images` alone, as `datasets.Image` features that nobody opened.

    Columns of other names, records with other keys and the parts of messages give theirs; a message keeps a placeholder
    for each. A dataset that has its pictures there already is only opened. `name_of` gives the name of a row.

    Raises:
        DataError: a picture cannot be found, or nobody can tell which of a row's pictures are meant; names the row.
    """
    if dataset.format["type"] == "custom":  # with_transform: what its columns hold is known row by row only
        return dataset
    where = name_of(0).rpartition(" row ")[0]
    columns = _columns_to_read(dataset, finder, where)
    dataset = open_columns(dataset, finder, name_of, {*IMAGE_COLUMNS, *columns})
    columns = [*(column for column in OWN if column in dataset.column_names), *columns]
    spoken = spoken_columns(dataset)
    taken = taken_rows(dataset, spoken, name_of, finder.keep_missing) if spoken else None
    if taken is None and columns in ([], ["image"], ["images"]):
        return dataset
    return _rewritten(dataset, columns, spoken, taken, finder, name_of)


def refuse_addresses(dataset: Any, name_of: NameOf) -> None:
    """Raise DataError where a message names a picture by an address: whoever reads it would fetch it past our rule."""
    from datasets import Dataset

    if not isinstance(dataset, Dataset):
        return
    spoken = spoken_columns(dataset)
    for index, row in enumerate(dataset.select_columns(spoken) if spoken else ()):
        for column in spoken:
            for slot in take_pictures(row[column], name_of(index)).slots:
                refuse_address(slot, name_of(index))


def gather_rows(rows: Iterable[Row], finder: PictureFinder, name_of: NameOf) -> Iterator[Row]:
    """Rows of a stream as `gather_pictures` would have them; columns are told by the first LOOKED_AT rows."""
    rows = iter(rows)
    first = list(itertools.islice(rows, LOOKED_AT))
    columns, seen = stream_columns(first, finder, name_of(0).rpartition(" row ")[0]), filled_columns(first)
    for index, row in enumerate(itertools.chain(first, rows)):
        refuse_late_pictures(row, seen, finder, name_of(index))
        yield gather_row(row, columns, finder, name_of(index))


def stream_columns(first: Sequence[Row], finder: PictureFinder, where: str) -> list[str]:
    """The columns of pictures of other names, by the first rows of a stream."""
    names = dict.fromkeys(name for row in first for name in row)
    samples = {name: [row[name] for row in first if row.get(name) is not None] for name in names}
    full = bool(first) and all(row.get("image") or row.get("images") for row in first)
    found = picture_columns(samples, finder)
    if not found and not names.keys() & set(OWN):
        _refuse_buried(samples, where)
    return _chosen(found, full, where)


def filled_columns(first: Iterable[Row]) -> set[str]:
    """The columns that the first rows of a stream fill, and those whose names alone say what they hold."""
    return {*IMAGE_COLUMNS, *WORDS, *(name for row in first for name, value in row.items() if not _is_empty(value))}


def refuse_late_pictures(row: Row, seen: Set[str], finder: PictureFinder, name: str) -> None:
    """Raise DataError for a picture in a column that the first rows of a stream leave empty, where none is read."""
    late = {column: [value] for column, value in row.items() if column not in seen and not _is_empty(value)}
    found = picture_columns(late, finder) if late else []
    if found:
        raise DataError(
            f"{name}: expected pictures in the columns that the first {LOOKED_AT} rows fill, got one in {found[0]}. "
            "Rename that column to image, or set streaming to false."
        )


def gather_row(row: Row, columns: Sequence[str], finder: PictureFinder, name: str) -> Row:
    """A row with its pictures in `image` or `images`; `columns` are those of other names."""
    try:
        return _gathered_row({**row}, columns, finder, name)
    except DataError as error:
        if not finder.keep_missing:
            raise
        refused = refused_picture(row, error, name)
        return {**row, "image": refused} if "image" in row else {**row, "images": [refused]}


def _gathered_row(row: Row, columns: Sequence[str], finder: PictureFinder, name: str) -> Row:
    for column in (*IMAGE_COLUMNS, *columns):
        if row.get(column) is not None:
            row[column] = finder.record(row[column], name)
    taken = take_row(row, name)
    held = {column: _listed(row.pop(column)) for column in (*OWN, *columns) if column in row}
    single = "image" in held and not isinstance(row.get("images"), list)
    found = _of_columns(held, name)
    if taken is not None:
        row |= taken[0]
        found = _filled(taken[1], found, finder, name)
        row |= {column: in_front(row[column], len(found)) for column in ("messages", "prompt") if column in taken[0]}
    elif single and "images" not in held and len(found) < 2 and not columns:
        return {**row, "image": found[0] if found else None}
    return {**row, "images": found} if held or found else row


def _columns_to_read(dataset: Any, finder: PictureFinder, where: str) -> list[str]:
    """The columns of other names that hold pictures of the rows."""
    others = [name for name in dataset.column_names if name not in IMAGE_COLUMNS and name not in WORDS]
    if not others:
        return []
    samples = {}
    for name in others:
        if is_opened(dataset.features[name]):
            samples[name] = [{"bytes": None, "path": "stored"}]
            continue
        if _holds_numbers(dataset.features[name]):
            continue
        samples[name] = _first_filled(close_images(dataset.select_columns([name])), name)
    found = picture_columns(samples, finder)
    if not found and not set(OWN) & set(dataset.column_names):
        _refuse_buried(samples, where)
    return _chosen(found, _is_full(dataset), where) if found else []


def _chosen(found: list[str], full: bool, where: str) -> list[str]:
    """Those of the columns found that are read: what goes on counting from `image`, else the only series there is.

    Raises:
        DataError: there are several, and nobody can tell which is meant.
    """
    kinds = series(found)
    if full:
        counted = [column for stem in OWN for column in kinds.pop(stem, [])]
        if kinds:
            unused = ", ".join(column for columns in kinds.values() for column in columns)
            warn_once(f"{where}: pictures are those of image or images; the columns {unused} are not used.")
        return counted
    if len(kinds) > 1:
        raise DataError(
            f"{where}: the columns {', '.join(found)} hold pictures, and nobody can tell which are meant. Rename the "
            "one to use to image (or images, for lists), and drop the others."
        )
    if found:
        warn_once(f"{where}: pictures are read from the column{'s' * (len(found) > 1)} {', '.join(found)}.")
    return next(iter(kinds.values()), [])


def _refuse_buried(samples: Mapping[str, Sequence[Any]], where: str) -> None:
    """Raise DataError where the only pictures lie in records of other things, or are arrays of numbers."""
    found = buried_pictures(samples)
    if found:
        raise DataError(
            f"{where}: the column {found[0]} holds pictures inside of records, or as arrays of numbers, which are not "
            "read. Write each picture into a column image, as a file's path or encoded as PNG."
        )


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", b"") or value == []


def _first_filled(dataset: Any, name: str) -> list[Any]:
    """The first values of a column that are not None."""
    first = dataset.select_columns([name]).select(range(min(LOOKED_AT, len(dataset))))
    found = [row[name] for row in first if row[name] is not None]
    if found:
        return found
    filled = dataset.data.column(name).drop_null()
    return [filled[0].as_py()] if len(filled) else []


def _holds_numbers(kind: Any) -> bool:
    """Whether a feature is of numbers, dates or booleans, so that no picture can be in it."""
    from datasets import ClassLabel, Value

    if isinstance(kind, ClassLabel):
        return True
    return isinstance(kind, Value) and kind.dtype.startswith(("int", "uint", "float", "bool", "date", "time", "null"))


def _is_full(dataset: Any) -> bool:
    """Whether each row has a picture in `image` or `images`; counted in Arrow."""
    import pyarrow.compute as compute

    own = [column for column in OWN if column in dataset.column_names]
    for batch in dataset.select_columns(own).with_format("arrow").iter(batch_size=10_000) if own else ():
        filled = None
        for column in own:
            one = compute.is_valid(batch[column])
            if column == "images" and is_list(batch[column].type):
                one = compute.greater(compute.fill_null(compute.list_value_length(batch[column]), 0), 0)
            elif _is_float(batch[column].type):
                one = compute.fill_null(compute.invert(compute.is_nan(batch[column])), False)
            elif _is_text(batch[column].type):
                one = compute.fill_null(compute.not_equal(batch[column], ""), False)
            filled = one if filled is None else compute.or_(filled, one)
        if not compute.all(filled).as_py():
            return False
    return bool(own)


def _is_float(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_floating(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))


def _rewritten(
    dataset: Any,
    columns: list[str],
    spoken: list[str],
    taken: list[tuple[Row, list[Any]]] | None,
    finder: PictureFinder,
    name_of: NameOf,
) -> Dataset:
    """The dataset with one column `images` in place of all columns of pictures, and its messages without pictures."""
    import pyarrow.compute
    from datasets import concatenate_datasets

    shown = dataset_of_pictures("images", _pictures_of(dataset, columns, taken, finder, name_of), several=True)
    parts = [dataset.remove_columns([*columns, *(_written(taken) if taken is not None else ())])]
    parts = [part for part in parts if part.column_names]
    if taken is not None:
        counts = pyarrow.compute.list_value_length(shown.data.column("images")).to_pylist()
        texts = {
            column: [in_front(row.get(column), count) for (row, _), count in zip(taken, counts, strict=True)]
            if column in ("messages", "prompt")
            else [row.get(column) for row, _ in taken]
            for column in _written(taken)
        }
        parts.append(table_of(texts))
    return concatenate_datasets([*parts, shown], axis=1)


def _pictures_of(
    dataset: Any, columns: list[str], taken: list[tuple[Row, list[Any]]] | None, finder: PictureFinder, name_of: NameOf
) -> Iterator[list[Any]]:
    """The pictures of each row in turn; where nobody can tell which and bad ones are kept, one that says why."""
    held = close_images(dataset.select_columns(columns)) if columns else [{} for _ in range(len(dataset))]
    for index, row in enumerate(held):
        name = name_of(index)
        try:
            found = _of_columns({column: _listed(row[column]) for column in columns}, name)
            found = found if taken is None else _filled(taken[index][1], found, finder, name)
        except DataError as error:
            if not finder.keep_missing:
                raise
            found = [refused_picture((index, row), error, name)]
        yield found


def _written(taken: list[tuple[Row, list[Any]]]) -> list[str]:
    return list(taken[0][0])


def _listed(value: Any) -> list[Any]:
    return [one for one in value if one is not None] if isinstance(value, list) else [] if value is None else [value]


def _of_columns(held: Mapping[str, list[Any]], name: str) -> list[Any]:
    """The pictures of a row's columns: of the only one that is filled, or of a numbered series one after another.

    Raises:
        DataError: `image` and `images` are both filled, and differ.
    """
    filled = {column: pictures for column, pictures in held.items() if pictures}
    if not filled:
        return []
    images, image = filled.pop("images", []), filled.pop("image", [])
    if images and image and not _same(images, image):
        raise DataError(
            f"{name}: expected its pictures in image or in images, got others in both. Leave one of them out."
        )
    own = images or image
    others = [picture for column in filled for picture in filled[column]]
    if own and others and not all(column[-1].isdigit() for column in filled):
        return own  # a column that fills the gaps of image, where this row has none
    return [*own, *others]


def _same(one: Any, other: Any) -> bool:
    """Whether two lists of closed pictures are the same files or bytes."""
    return [_key(value) for value in one] == [_key(value) for value in other]


def _key(value: Any) -> Any:
    return (value.get("bytes") or value.get("path")) if isinstance(value, dict) else value


def _filled(slots: list[Any], found: list[Any], finder: PictureFinder, name: str) -> list[Any]:
    """The pictures of a row's placeholders in order: each its own, the others from the row's columns.

    Raises:
        DataError: the columns hold more or fewer than the placeholders that name none.
    """
    named = [None if slot is None else finder.record(slot, name) for slot in slots]
    own = [picture for picture in named if picture is not None]
    missing = len(named) - len(own)
    if not own:
        return found
    if not missing and (not found or _same(own, found)):
        return own
    if missing != len(found):
        raise DataError(
            f"{name}: {len(own)} of {len(named)} image parts name their picture, which leaves {missing} for the "
            f"columns, but these hold {len(found)}. Name each picture once: in its part, or in images."
        )
    rest = iter(found)
    return [next(rest) if picture is None else picture for picture in named]
