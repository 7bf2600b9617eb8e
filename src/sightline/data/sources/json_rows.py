"""Read rows of JSONL and JSON files; note each line that is no row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline.data.sources.bad_rows import BadRows, left_out, listed
from sightline.data.sources.documents import Place, document_rows, require_split
from sightline.data.sources.text_files import lines_of, opened_text
from sightline.errors import DataError
from sightline.launch.processes import say
from sightline.notation import NotationError, read_json

Row = dict[str, Any]


def iterate_jsonl(path: Path, bad: BadRows | None = None) -> Iterator[Row]:
    """The rows of a file; what is wrong with lines that are none is noted in `bad`, where it is given."""
    listed = _listed_rows(path, bad)
    if listed is not None:
        yield from listed
        return
    with opened_text(path) as file:
        for number, line in enumerate(lines_of(file, path.name), start=1):
            if not line.strip():
                continue
            try:
                row = row_in(line, f"{path.name} line {number}")
            except DataError as error:
                if bad is None:
                    raise
                bad.note(number, error)
            else:
                yield row


def _listed_rows(path: Path, bad: BadRows | None) -> list[Row] | None:
    """The rows of a file that is one JSON list with objects in it, whatever its name says; None for any other."""
    with opened_text(path) as file:
        first = next((line for line in lines_of(file, path.name) if line.strip()), "")
    if not first.lstrip().startswith("["):
        return None
    with opened_text(path) as file:
        try:
            content = read_json(file.read(), unique=True, for_table=True)
        except NotationError:
            return None
    if not isinstance(content, list) or not any(isinstance(row, dict) for row in content):
        return None
    noted = bad or BadRows()
    rows = good_records(content, path, noted)
    if bad is None and noted.problems:
        raise DataError(noted.problems[0])
    return rows


def row_in(line: str, name: str) -> Row:
    """The row in a line of JSONL. Raises DataError, which begins with the name, where it holds none."""
    try:
        row = read_json(line, unique=True, for_table=True)
    except NotationError as error:
        opened = line.strip() in ("[", "{")  # a text over several lines, and no list of objects
        hint = " Write each row on a line of its own, or all as one whole list of objects." if opened else ""
        raise DataError(f"{name}: no valid JSON ({error}).{hint}") from error
    if not isinstance(row, dict):
        raise DataError(
            f"{name}: expected an object of columns, got {line.strip()[:60]}. Write each row as an object on its "
            "own line, or one list of all of them."
        )
    return row


def stream_jsonl(path: Path, skip: bool) -> Iterator[Row]:
    """The rows of a file; with `skip` lines that are none are left out and said."""
    bad = BadRows(skip) if skip else None
    yield from iterate_jsonl(path, bad)
    if bad is not None and bad.problems:
        say(f"Left out: {len(bad.problems):,} lines that are no rows. The first: {listed(bad.problems)}")


def json_rows(path: Path, place: Place, split: str | None, bad: BadRows) -> list[Row]:
    """The rows of a JSON file: a list of them, or a published file; records that are none are noted.

    Raises:
        DataError: no JSON, or of another form.
    """
    try:
        with opened_text(path) as file:
            content = read_json(file.read(), unique=True, for_table=True)
    except NotationError as error:
        where = path.name if error.line is None else f"{path.name} line {error.line}"
        raise DataError(f"{where}: no valid JSON ({error}). If it has one object a line, call it .jsonl.") from error
    rows = content.get("data") if isinstance(content, dict) else content
    if isinstance(content, dict) and rows is None:
        return document_rows(content, path, place, split, bad)
    require_split(path, split)
    if not isinstance(rows, list):
        raise DataError(f'{path.name}: expected a list of rows, or {{"data": [rows]}}, each row an object of columns.')
    return good_records(rows, path, bad)


def good_records(rows: list[Any], path: Path, bad: BadRows) -> list[Row]:
    """Those of a list that are objects; others are noted."""
    for index, row in enumerate(rows):
        with bad.of_row(f"{path.name} row {index + 1}"):
            if not isinstance(row, dict):
                raise DataError(f"{path.name} row {index + 1}: expected an object of columns, got {row!r:.60}.")
    return [row for row in rows if isinstance(row, dict)]


def settle(path: Path, bad: BadRows, good: int, noted: list[str] | None = None) -> None:
    """Nothing where every row is good; where bad ones may be left out and `good` ones are left, says which were, or
    adds them to `noted`.

    Raises:
        DataError: they may not, or none is left; the first of the bad ones and how many there are.
    """
    if not bad.problems:
        return
    if not bad.skip or not good:
        raise DataError(f"{listed(bad.problems)} Mend them, or leave them out by a command that has --skip_bad_rows.")
    count, rows = len(bad.problems), good + len(bad.problems)
    if noted is None:
        said = left_out(path.name, bad.problems, rows)
    else:
        noted += bad.problems
        said = f"{path.name}: {count:,} of {rows:,} rows cannot be read and are left out."
    say(f"{said}\nThe rows of {path.name} are counted without them from here on.")
