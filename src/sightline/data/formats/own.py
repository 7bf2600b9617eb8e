"""Read rows in TRL's own columns: make texts and messages uniform, place images, report bad rows together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from sightline.data.formats.converted import TrainingRows, good_rows, image_counts
from sightline.data.formats.even import TALKED, are_talk, even_row, is_even
from sightline.data.formats.placed import ANSWERED, ASKED, may_be_talk, may_mark, may_show, place as place_marks
from sightline.data.formats.registry import Format, Row
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.datasets import RowNames, row_name
from sightline.data.sources.mixed_columns import table_of
from sightline.errors import DataError


def own_table(
    dataset: Any, format_: Format, source: str, bad: Mapping[int, str], skip_bad_rows: bool | None
) -> TrainingRows:
    """The rows as TRL reads them; with `skip_bad_rows`, those that it can read. `bad` says what is known of some.

    Raises:
        DataError: rows that cannot be used, the first of them listed.
    """
    if not bad:
        try:
            return TrainingRows(placed(_even(dataset, format_, source), source), format_)
        except DataError as error:
            bad = _bad_rows(dataset, format_, source)
            if not bad:
                raise error
    else:
        bad = dict(sorted({**_bad_rows(dataset, format_, source), **bad}.items()))
    good = good_rows(len(dataset), bad, skip_bad_rows)
    names = RowNames(source, good)
    made = placed(_even(dataset.select(good), format_, names), names)
    return TrainingRows(made, format_, good, bad=bad)


def own_row(row: Row, spoken: tuple[str, ...], talk: bool, images: int, name: str, in_parts: bool) -> Row:
    """A row with the columns `spoken` as texts, or where `talk` as messages, and its pictures where marks stand.

    Raises:
        DataError: a value is neither text nor messages, or marks do not fit the images.
    """
    given = {column: row[column] for column in spoken if column in row}
    return place_marks({**row, **({} if is_even(given, talk) else even_row(given, talk, name))}, images, name, in_parts)


def spoken_columns(format_: Format) -> tuple[str, ...]:
    """The columns of a format that hold texts or messages."""
    return tuple(column for column in format_.columns if column in TALKED)


def placed(dataset: Any, source: str | RowNames) -> Any:
    """Rows of TRL's columns, each picture where a mark stands for it.

    Raises:
        DataError: a prompt shows pictures that its row has not, or an answer has a mark for one.
    """
    import datasets

    columns, answers = ([one for one in kind if one in dataset.column_names] for kind in (ASKED, ANSWERED))
    counts = image_counts(dataset)
    if not (may_mark(dataset, columns + answers) if counts else may_show(dataset, columns)):
        return dataset
    rows = [
        place_marks(row, counts[index] if counts else 0, row_name(source, index), bool(counts))
        for index, row in enumerate(dataset.select_columns(columns + answers))
    ]
    if not counts:
        return dataset
    texts = table_of({column: [row[column] for row in rows] for column in columns})
    return datasets.concatenate_datasets([dataset.remove_columns(columns), texts], axis=1)


def _even(dataset: Any, format_: Format, source: str | RowNames) -> Any:
    """Rows of TRL's columns whose prompts and answers are all texts, or all messages."""
    import datasets

    texts = dataset.select_columns(list(spoken_columns(format_)))
    if all(kind == datasets.Value("string") for kind in texts.features.values()) and not may_be_talk(texts):
        return dataset
    talk = are_talk(texts)
    if all(is_even(row, talk) for row in texts):
        return dataset
    rows = [even_row(row, talk, row_name(source, index)) for index, row in enumerate(texts)]
    new = table_of({column: [row.get(column) for row in rows] for column in dict.fromkeys(itertools.chain(*rows))})
    rest = dataset.remove_columns(texts.column_names)
    return datasets.concatenate_datasets([rest, new], axis=1) if rest.column_names else new


def _bad_rows(dataset: Any, format_: Format, source: str) -> dict[int, str]:
    """Why rows cannot be used, by their index."""
    spoken, counts = spoken_columns(format_), image_counts(dataset)
    read = dataset.select_columns([column for column in dataset.column_names if column in (*ASKED, *spoken)])
    bad = BadRows()
    if not read.column_names:
        return {}
    talk = are_talk(read.select_columns(list(spoken)))
    for index, row in enumerate(read):
        with bad.of_row(index):
            own_row(row, spoken, talk, counts[index] if counts else 0, row_name(source, index), bool(counts))
    return dict(zip((index for index in range(len(dataset)) if bad.holds(index)), bad.problems, strict=True))
