"""Columns under names of the user's: read from a setting, renamed first, and refused where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.column_names import ColumnNames, read_columns, renamed_rows
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.data.sources.tsv import read_tsv
from sightline.errors import ConfigError, DataError
from sightline.evaluation.items import Items
from sightline.evaluation.sources import DataChoice, load_items, open_rows
from sightline.evaluation.tasks.registry import load_task
from sightline.training.arguments import ScriptArguments, read_names, read_records
from tests.tiny import picture

NAMES = read_columns("question=q, answer=a,image=pic")
ROWS = ({"q": "What?", "a": "red", "pic": "0.png"}, {"q": "Where?", "a": "here", "pic": "1.png"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in range(2):
        picture(place).save(tmp_path / f"{place}.png")
    return tmp_path


def written(folder: Path, name: str) -> Path:
    path = folder / name
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif path.suffix == ".json":
        path.write_text(json.dumps(ROWS))
    elif path.suffix == ".parquet":
        datasets.Dataset.from_list(list(ROWS)).to_parquet(str(path))
    elif path.suffix == "":
        datasets.Dataset.from_list(list(ROWS)).save_to_disk(str(path))
    else:
        between = "," if path.suffix == ".csv" else "\t"
        path.write_text("".join(between.join(line) + "\n" for line in (ROWS[0], *(row.values() for row in ROWS))))
    return path


@pytest.mark.parametrize(
    "given", ["question=q,answer=a", " question = q , answer = a ", {"question": "q", "answer": "a"}]
)
def test_names_are_read_from_text_and_mapping(given: Any) -> None:
    assert read_columns(given) == ColumnNames((("question", "q"), ("answer", "a")))
    assert str(read_columns(given)) == "question=q,answer=a"
    assert not read_columns(None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("question", "expected pairs such as question=q,answer=a; got 'question'"),
        ("question=", "expected names of columns"),
        ({"question": 3}, "expected names of columns"),
        ("question=q,question=p", "two columns one name .'question'."),
        ("question=q,answer=q", "one column two names .'q'."),
    ],
)
def test_names_that_are_none_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_columns(given)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv", "rows.parquet", "saved"])
def test_every_file_is_read_under_the_names(name: str, folder: Path) -> None:
    access = PictureAccess(str(folder), columns=NAMES)
    found = read_dataset(written(folder, name), pictures=access)
    assert sorted(found.column_names) == ["answer", "image", "question"]
    assert found["question"][:] == ["What?", "Where?"]
    assert isinstance(found.features["image"], datasets.Image)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_streams_are_read_under_the_names(name: str, folder: Path) -> None:
    path = written(folder, name)
    rows = list(stream_dataset(path, pictures=PictureAccess(columns=NAMES)))
    assert [(row["question"], row["answer"]) for row in rows] == [("What?", "red"), ("Where?", "here")]
    with pytest.raises(DataError, match="there is no column 'query'"):
        stream_dataset(path, pictures=PictureAccess(columns=read_columns("question=query")))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("question=query", "rows.jsonl: --columns question=query: there is no column 'query' among q, a, pic"),
        ("question=pics", "Did you mean 'pic'?"),
        ("q=question", "Write it the other way round: question=q"),
        ("q=a", "there is a column 'q' already"),
    ],
)
def test_columns_that_are_not_there_or_taken_are_named(names: str, message: str, folder: Path) -> None:
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        read_dataset(written(folder, "rows.jsonl"), pictures=PictureAccess(columns=read_columns(names)))


def test_two_columns_may_change_their_names(folder: Path) -> None:
    access = PictureAccess(columns=read_columns("a=q,q=a"))
    assert read_dataset(written(folder, "rows.jsonl"), pictures=access)["q"][:] == ["red", "here"]


def test_a_row_may_lack_a_column_and_none_may_have_both(tmp_path: Path) -> None:
    names = read_columns("question=q")
    assert list(renamed_rows([{"q": "What?"}, {"a": 1}], names, "x")) == [{"question": "What?"}, {"a": 1}]
    with pytest.raises(DataError, match="there is a column 'question' already"):
        list(renamed_rows([{"q": "What?"}, {"q": "Why?", "question": "Who?"}], names, "x"))


def test_vlmevalkits_tables_are_read_under_the_names(folder: Path) -> None:
    path = folder / "rows.tsv"
    path.write_text("nr\tfrage\tantwort\timage_path\n7\tWhat?\tred\t0.png\n")
    names = read_columns("index=nr,question=frage,answer=antwort")
    assert read_tsv(path, names).columns == ("index", "question", "answer", "image_path")
    (item,) = items_of(path, names).items
    assert (item.id, item.question, item.answers, len(item.pictures)) == ("7", "What?", ("red",), 1)


def items_of(path: Path, names: ColumnNames, **choice: Any) -> Items:
    return load_items(load_task("custom"), DataChoice(str(path), columns=names, **choice))


def test_the_rows_of_a_run_are_found_again_under_the_names(folder: Path) -> None:
    (folder / "rows").mkdir()
    items = items_of(written(folder / "rows", "rows.jsonl"), NAMES, image_folder=folder)
    assert (items.source.columns, items.source.image_folder) == ("question=q,answer=a,image=pic", str(folder))
    again = list(load_task("custom").read("file", [open_rows(load_task("custom"), items.source).row(0)]))
    assert [picture.key for picture in again[0].pictures] == [items.items[0].pictures[0].key]


def test_renamed_preferences_are_questions_with_their_chosen_answer(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "What?", "chosen": "red", "rejected": "blue"}) + "\n")
    assert items_of(path, read_columns("answer=chosen")).items[0].answers == ("red",)


@pytest.mark.parametrize("written_as", ["question=q,answer=a", "{question: q, answer: a}"])
def test_recipes_and_flags_take_the_names(written_as: str) -> None:
    _, (script,) = read_records(["--columns", written_as], (ScriptArguments,))
    assert read_names(script.columns) == read_columns("question=q,answer=a")


def test_trls_list_of_columns_keeps_its_meaning() -> None:
    assert not read_names(["prompt", "completion"])


@pytest.mark.parametrize(
    "name, read",
    [("rows.jsonl", read_dataset), ("rows.csv", read_dataset), ("rows.jsonl", stream_dataset), ("bench.tsv", read_tsv)],
)
def test_a_name_as_long_as_a_text_is_told_in_a_line(name: str, read: Any, tmp_path: Path) -> None:
    long = "x" * 5000
    texts = {
        "rows.jsonl": json.dumps({long: 1, "answer": "red"}),
        "rows.csv": f"{long},answer\n1,red\n",
        "bench.tsv": f"index\t{long}\n1\tred\n",
    }
    (tmp_path / name).write_text(texts[name])
    with pytest.raises(DataError, match=f"{name}: expected names of columns, got one of 5,000 char") as raised:
        list(read(tmp_path / name))
    assert len(str(raised.value)) < 300
