"""Answers that are stored already: a file of predictions by item id, of ours, of VLMEvalKit or of LLaVA's scripts."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sightline.errors import DataError
from sightline.evaluation.task import Item
from sightline.types import Answer

ID_COLUMNS = ("id", "index", "question_id", "questionId", "pid")
PREDICTION_COLUMNS = ("prediction", "response", "text", "output", "answer")
NO_ANSWER = "Failed to obtain answer via API"  # what VLMEvalKit writes in place of an answer
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def read_predictions(path: Path) -> dict[str, str]:
    """The prediction of each id.

    Args:
        path: .jsonl, .json (a list of records, or an object of predictions by id), .csv, .tsv or .xlsx. A record names
            its item by the first of ID_COLUMNS it has, what was said by the first of PREDICTION_COLUMNS.

    Raises:
        DataError: no such file, another format, or a record without id or prediction.
    """
    if path.suffix not in _READERS:
        raise DataError(f"--predictions {path}: expected one of {', '.join(_READERS)}. Convert the file.")
    if not path.is_file():
        raise DataError(f"--predictions: there is no file {path}. Paths count from {Path.cwd()}.")
    predictions: dict[str, str] = {}
    for number, record in enumerate(_READERS[path.suffix](path), start=1):
        key = next((str(record[name]) for name in ID_COLUMNS if record.get(name) not in (None, "")), None)
        said = next((record[name] for name in PREDICTION_COLUMNS if record.get(name) is not None), None)
        if key is None or said is None:
            raise DataError(
                f"{path.name} record {number}: expected an id ({', '.join(ID_COLUMNS)}) and a prediction "
                f"({', '.join(PREDICTION_COLUMNS)}); found {', '.join(map(str, record))}. Rename the columns."
            )
        if key in predictions:
            raise DataError(f"{path.name} record {number}: the id '{key}' was there before. Keep one prediction each.")
        predictions[key] = str(said)
    return predictions


def predicted_answers(predictions: dict[str, str], items: Iterable[Item], path: Path) -> list[Answer]:
    """The answer of each item; one without a prediction, or with VLMEvalKit's words for none, is an error of that item.

    Raises:
        DataError: the file has a prediction for none of the items.
    """
    wanted = list(items)
    if wanted and not any(item.id in predictions for item in wanted):
        raise DataError(
            f"{path.name} has predictions for {', '.join(list(predictions)[:3])}, ..., but the task's items are "
            f"{', '.join(item.id for item in wanted[:3])}, ... Check that the file belongs to the task."
        )
    return [_answer(predictions.get(item.id), path) for item in wanted]


def _answer(said: str | None, path: Path) -> Answer:
    if said is None:
        return Answer(error=f"{path.name} has no prediction")
    return Answer(error=f"{path.name}: {said.strip()}") if said.startswith(NO_ANSWER) else Answer(said)


def _read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _record(_parsed(line, f"{path.name} line {number}"), f"{path.name} line {number}")


def _read_json(path: Path) -> Iterator[dict[str, Any]]:
    content = _parsed(path.read_text(encoding="utf-8-sig"), path.name)
    if isinstance(content, dict):
        content = [{"id": key, "prediction": said} for key, said in content.items()]
    if not isinstance(content, list):
        raise DataError(f"{path.name}: expected a list of records, got {str(content)[:40]}.")
    for number, record in enumerate(content, start=1):
        yield _record(record, f"{path.name} record {number}")


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{name}: no valid JSON ({error}). Write the file again.") from error


def _record(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{name}: expected an object with id and prediction, got {str(value)[:40]}.")
    return value


def _read_table(path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t" if path.suffix == ".tsv" else ",")


def _read_xlsx(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of the first sheet, whose first row names the columns; values only, which is all that result files have."""
    try:
        with zipfile.ZipFile(path) as book:
            shared = _shared_strings(book)
            sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError) as error:
        raise DataError(f"{path.name} is no Excel file that can be read ({error}). Save it as TSV.") from error
    header: dict[str, str] = {}
    for row in sheet.iter(f"{_SHEET}row"):
        cells = {_column(cell): _value(cell, shared) for cell in row.iter(f"{_SHEET}c")}
        if header:
            yield {name: cells.get(column) for column, name in header.items()}
        else:
            header = {column: str(name) for column, name in cells.items() if name}


def _shared_strings(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    root = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
    return ["".join(text.text or "" for text in entry.iter(f"{_SHEET}t")) for entry in root.iter(f"{_SHEET}si")]


def _column(cell: ElementTree.Element) -> str:
    """The letters of a cell's address: "AB" of "AB12"."""
    return cell.get("r", "").rstrip("0123456789")


def _value(cell: ElementTree.Element, shared: list[str]) -> str | None:
    if cell.get("t") == "inlineStr":
        return "".join(text.text or "" for text in cell.iter(f"{_SHEET}t"))
    value = cell.find(f"{_SHEET}v")
    if value is None or value.text is None:
        return None
    return shared[int(value.text)] if cell.get("t") == "s" else value.text


_READERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".xlsx": _read_xlsx,
}
