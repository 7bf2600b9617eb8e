"""Mix several sources into one dataset: how many rows of each, drawn by a seed, in common columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data.encoding.preferences import is_list_of_answers
from sightline.data.formats.converted import image_counts
from sightline.data.pictures.images import rejected_images, row_images
from sightline.data.sources.kept_rows import map_rows
from sightline.errors import ConfigError, DataError

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

Row = dict[str, Any]

TEXTS = ("messages", "prompt", "completion", "chosen", "rejected")
PICTURES = ("images", "rejected_images")
RENDERED = ("tools", "chat_template_kwargs")  # what a template is given besides messages; None where a row has none


@dataclass(frozen=True)
class Share:
    """What a mixture takes of a source: a share of the whole, a number of rows, or with neither all rows."""

    fraction: float | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Drawn:
    """Indices of a source's rows that train, and of those held out for evaluation; no row is in both."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def counts_of(sizes: Sequence[int], shares: Sequence[Share]) -> list[int]:
    """How many rows of each source a mixture takes.

    Fractions are shares of the mixture, which is as large as it can be without repeating a row, as in TRL.

    Raises:
        ConfigError: fractions for some sources only, or beside numbers of rows; a negative or empty share.
    """
    fractions = [share.fraction for share in shares if share.fraction is not None]
    if any(value < 0 for value in fractions) or any(share.rows is not None and share.rows < 1 for share in shares):
        raise ConfigError("datasets: expected a fraction of at least 0, or at least one of `rows`, for each source.")
    if not fractions:
        return [size if share.rows is None else share.rows for size, share in zip(sizes, shares, strict=True)]
    if len(fractions) < len(shares) or any(share.rows is not None for share in shares) or not sum(fractions):
        raise ConfigError(
            f"datasets: expected a fraction for each of the {len(shares)} sources, together more than 0, or for none; "
            f"got {len(fractions)}. Write one for each, or `rows` for those that you want a number of."
        )
    weights = [value / sum(fractions) for value in fractions]
    total = min(size / weight for size, weight in zip(sizes, weights, strict=True) if weight > 0)
    return [round(weight * total) for weight in weights]


def draw(size: int, count: int, test_share: float, seed: int) -> Drawn:
    """`count` rows of a source, `test_share` of them held out, in the source's order; chosen by `seed`.

    More rows than there are repeat all of them, and by chance some once more; a row held out is never trained.
    """
    order = np.random.default_rng(seed).permutation(size)
    held_out = round(test_share * min(count, size))
    pool = order[held_out:]
    wanted = count - held_out
    if wanted and not len(pool):
        raise ConfigError(f"test_split_size: {test_share} of {size} rows leaves none to train on. Lower it.")
    passes, rest = divmod(wanted, len(pool)) if wanted else (0, 0)
    train = np.sort(np.concatenate([*[pool] * passes, pool[:rest]]))
    return Drawn(tuple(map(int, train)), tuple(map(int, np.sort(order[:held_out]))))


def streamed_shares(shares: Sequence[Share]) -> list[float]:
    """The share of each streamed source in a mixture; they sum to 1.

    Raises:
        ConfigError: a source without a fraction, with a negative one, or with a number of rows.
    """
    fractions = [share.fraction for share in shares if share.fraction is not None and share.rows is None]
    if len(fractions) < len(shares) or min(fractions) < 0 or not sum(fractions):
        raise ConfigError(
            "streaming: expected a fraction of at least 0 for each source, together more than 0, since nobody knows "
            "how many rows a stream has. Write `fraction` for each, without `rows`."
        )
    return [fraction / sum(fractions) for fraction in fractions]


def blend(parts: Sequence[IterableDataset], shares: Sequence[float], seed: int) -> IterableDataset:
    """Streams of TRL's columns as one, the source of each row drawn by its share; a stream that ends starts again.

    Contents are lists of parts and images a list `images`; a row has None where another source has other columns, tools
    among them. It ends when each row of each stream came at least once.

    Raises:
        DataError: a row of plain text or several rejected answers; the first row here, others when they are reached.
    """
    from datasets import Features, Image, Json, List, interleave_datasets

    drawn = {number: share for number, share in enumerate(shares) if share}
    first = {number: next(iter(parts[number])) for number in drawn}
    messages = List(Json())  # which keeps calls of tools as they are, and adds no key to other messages
    pictures = List(Image(decode=False))
    columns = dict.fromkeys(column for row in first.values() for column in _even_row(row))
    kinds = dict.fromkeys(PICTURES, pictures) | dict.fromkeys(RENDERED, Json())
    columns |= dict.fromkeys(RENDERED) if any(column in columns for column in RENDERED) else {}
    features = Features({column: kinds.get(column, messages) for column in columns})

    fill = _Filling(tuple(columns))
    even = [parts[number].map(fill, remove_columns=list(row), features=features) for number, row in first.items()]
    return interleave_datasets(even, list(drawn.values()), seed, stopping_strategy="all_exhausted")


@dataclass(frozen=True)
class _Filling:
    """A stream's row with all columns of the mixture; a record, which a worker started anew can be given."""

    columns: tuple[str, ...]

    def __call__(self, row: Row) -> Row:
        return dict.fromkeys(self.columns) | _even_row(row)


def _even_row(row: Row) -> Row:
    texts = [column for column in TEXTS if column in row]
    if not texts or any(isinstance(row[column], str) or is_list_of_answers(row[column]) for column in texts):
        raise DataError(
            "streaming: expected conversations in each source of the mixture, with one rejected answer in each row, "
            f"got a row of {', '.join(row)}. Convert its source by `sightline data convert`, or set streaming to false."
        )
    images = row_images(row)
    even = {column: _in_parts(row[column], len(images) if column in ("messages", "prompt") else 0) for column in texts}
    even |= {column: row[column] for column in RENDERED if column in row}
    others = {"rejected_images": rejected_images(row)} if "rejected_images" in row else {}
    return {**even, "images": images, **others}


def join(parts: Sequence[Dataset], names: Sequence[str]) -> Dataset:
    """Datasets of TRL's columns one after another, those of each row as it would have them alone.

    Where their columns differ, contents become lists of parts and `image` becomes `images`, columns that no template
    reads are left out, and a row has None where another has `messages`, `prompt`, `tools` or `chat_template_kwargs`.

    Raises:
        DataError: rows of plain text beside conversations, or columns that do not fit together.
    """
    from datasets import concatenate_datasets

    if all(part.features == parts[0].features for part in parts):
        return concatenate_datasets(list(parts))
    texts = [column for column in TEXTS if any(column in part.column_names for part in parts)]
    loose = [
        column
        for column in texts
        if not all(_holds_texts_alone(part.features[column]) for part in parts if column in part.column_names)
    ]
    even = [_even(part, loose) for part in parts]
    try:
        return concatenate_datasets(even)
    except ValueError as error:  # features that cannot be aligned
        shown = "; ".join(f"{name}: {', '.join(part.column_names)}" for name, part in zip(names, parts, strict=True))
        raise DataError(
            f"datasets: expected sources whose rows fit into one table, got {shown} ({error}). "
            "Convert one of them by `sightline data convert`."
        ) from error


def _holds_texts_alone(feature: Any) -> bool:
    """Whether the feature of a column is text, or messages with nothing besides role and content."""
    from datasets import List, Value

    if isinstance(feature, List):
        return _holds_texts_alone(feature.feature)
    if isinstance(feature, dict):
        return feature.keys() <= {"role", "content", "type", "text"} and all(map(_holds_texts_alone, feature.values()))
    return isinstance(feature, Value)


def _in_parts_of(feature: Any) -> Any:
    """The feature of what `_in_parts` makes of a column of texts alone."""
    from datasets import List, Value

    if not isinstance(feature, List):
        return feature
    if isinstance(feature.feature, List):
        return List(_in_parts_of(feature.feature))
    return List({"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})})


def _even(part: Dataset, loose: Sequence[str]) -> Dataset:
    """The part with contents as parts and its images as `images`; `loose` columns keep other fields of messages."""
    from datasets import Features, Image, Json, List, concatenate_datasets

    counts = image_counts(part) or [0] * len(part)
    texts = [column for column in TEXTS if column in part.column_names]
    rendered = [column for column in RENDERED if column in part.column_names]
    kinds = {column: List(Json()) if column in loose else _in_parts_of(part.features[column]) for column in texts}
    kinds |= dict.fromkeys(rendered, Json())

    def parts_of(row: Row, index: int) -> Row:
        first = next(column for column in texts if column in ("messages", "prompt"))
        even = {column: _in_parts(row[column], counts[index] if column == first else 0) for column in texts}
        return even | {column: row[column] for column in rendered}

    even = map_rows(
        part.select_columns([*texts, *rendered]),
        parts_of,
        ("even", texts, rendered, loose, counts),
        with_indices=True,
        features=Features(kinds),
        desc="Fitting sources together",
    )
    closed = List(Image(decode=False))
    if "image" in part.column_names and "images" not in part.column_names:
        listed = [[] if image is None else [image] for image in part["image"][:]]
        even = even.add_column("images", listed, feature=closed)
    elif not any(counts) and "images" not in part.column_names:
        even = even.add_column("images", [[] for _ in range(len(part))], feature=closed)
    kept = [column for column in PICTURES if column in part.column_names]
    return concatenate_datasets([even, part.select_columns(kept)], axis=1) if kept else even


def _in_parts(value: Any, images: int) -> Any:
    """Messages, or several answers of messages, with lists of parts; images without a place come first."""
    if not isinstance(value, list) or not value:
        return value
    if isinstance(value[0], list):
        return [_in_parts(one, 0) for one in value]
    messages = [{**_said_besides(message), "content": _parts(message["content"])} for message in value]
    placed = any(part["type"] == "image" for message in messages for part in message["content"] or ())
    user = next((message for message in messages if message["role"] == "user"), None)
    if images and not placed and user is not None:
        user["content"] = [{"type": "image", "text": None}] * images + (user["content"] or [])
    return messages


def _said_besides(message: Row) -> Row:
    """The message without its content, and without the fields that Arrow fills in from other messages."""
    return {field: value for field, value in message.items() if field != "content" and value is not None}


def _parts(content: Any) -> list[Row] | None:
    if content is None:  # beside calls of tools
        return None
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{"type": part["type"], "text": part.get("text")} for part in content]
