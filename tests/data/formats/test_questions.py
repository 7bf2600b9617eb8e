"""Questions with answers of any kind become the completions that people would write, in training as in evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from sightline.cli.main import run
from sightline.data.formats.columns import sft_rows
from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError
from tests.tiny import picture


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    picture(0).save(folder / "0.png")
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"image": "0.png", **row}) + "\n" for row in rows))
    return path


def completions(path: Path) -> list[str]:
    rows = sft_rows(read_dataset(path), path.name).dataset
    return [row["completion"][0]["content"] for row in rows]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "?", "answer": 3}, ["3"]),
        ({"question": "?", "answer": 3.0}, ["3"]),
        ({"question": "?", "answer": 0}, ["0"]),
        ({"question": "?", "answer": True}, ["yes"]),
        ({"question": "?", "answer": False}, ["no"]),
        ({"question": "?", "answer": ["circle", "disc", "disc"]}, ["disc"]),
        ({"question": "?", "answer": "[1, 2, 3, 4]"}, ["[1, 2, 3, 4]"]),
        ({"question": "?", "answers": [None, "circle"]}, ["circle"]),
        ({"question": "?", "answers": [{"text": "circle"}]}, ["circle"]),
        ({"question": "?", "answers": {"text": ["circle"], "answer_start": [0]}}, ["circle"]),
        ({"question": "?", "answers": "['circle' 'disc']"}, ["circle"]),
        ({"question": "?", "answers": "circle"}, ["circle"]),
        ({"caption": ["A circle.", "A disc."]}, ["A circle.", "A disc."]),
        ({"captions": ["A circle.", None]}, ["A circle."]),
    ],
)
def test_an_answer_is_taught_as_people_write_it(tmp_path: Path, row: dict[str, Any], said: list[str]) -> None:
    assert completions(written(tmp_path, row)) == said


@pytest.mark.parametrize("row", [{"question": "?", "answers": {"box": [1]}}, {"question": "?", "answer": {"box": [1]}}])
def test_a_record_without_an_answer_is_refused_by_its_row(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="rows.jsonl row 1: answers?: expected a record with answer, text, value"):
        completions(written(tmp_path, row))


@pytest.mark.parametrize("columns", [{"label": [1, 0]}, {"question": ["?", "?"], "answer": [1, 0]}])
def test_a_class_label_is_taught_by_its_name(tmp_path: Path, columns: dict[str, Any]) -> None:
    name = "label" if "label" in columns else "answer"
    cells = [{"bytes": None, "path": str(tmp_path / "0.png")}] * 2
    written(tmp_path)
    rows = datasets.Dataset.from_dict({"image": cells, **columns}).cast_column("image", datasets.Image())
    rows = rows.cast_column(name, datasets.ClassLabel(names=["a_cat", "a_dog"]))
    said = [row["completion"][0]["content"] for row in sft_rows(rows, "classes").dataset]
    assert said == (["a dog", "a cat"] if name == "label" else ["a_dog", "a_cat"])
    streamed = [row["completion"][0]["content"] for row in sft_rows(rows.to_iterable_dataset(), "classes").dataset]
    assert streamed == said


def test_the_data_check_takes_no_number_for_an_empty_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {"question": "How many?", "answer": 0}, {"question": "How many?", "answer": 2})
    assert run(["data", "check", str(path)]) == 0
    assert "empty answer" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "row",
    [
        {"question": "What?", "label": "cat"},
        {"query": "What?", "label": "cat"},
        {"instruction": "What?", "caption": "A cat."},
        {"prompt": "What?", "captions": ["A cat."]},
        {"question": "What?", "text": "A cat."},
    ],
)
def test_a_question_beside_a_caption_or_label_is_not_dropped_for_ours(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"expected the columns .*; found .*The nearest format is"):
        completions(written(tmp_path, row))


@pytest.mark.parametrize(
    ("columns", "answer", "named"),
    [
        ({"options": ["cat", "dog"]}, "B", "options"),
        ({"choices": ["cat", "dog"]}, 1, "choices"),
        ({"A": "cat", "B": "dog"}, "A", "A, B"),
        ({"option_a": "cat", "option_b": "dog"}, "b", "option_a, option_b"),
    ],
)
def test_letters_are_not_taught_without_their_options(
    tmp_path: Path, columns: dict[str, Any], answer: Any, named: str
) -> None:
    with pytest.raises(
        DataError, match=f"rows.jsonl row 1: the answer '.' seems to pick one of the options in {named}"
    ):
        completions(written(tmp_path, {"question": "What?", **columns, "answer": answer}))


def test_answers_that_are_texts_of_options_are_taught(tmp_path: Path) -> None:
    rows = ({"question": "?", "choices": ["2", "3"], "answer": 3}, {"question": "?", "choices": ["b"], "answer": "b"})
    assert completions(written(tmp_path, *rows)) == ["3", "b"]


@pytest.mark.parametrize("question", [["What?", "Who?"], [{"type": "text", "text": "What?"}]])
def test_a_question_that_is_no_text_is_refused(tmp_path: Path, question: Any) -> None:
    with pytest.raises(DataError, match=r"row 1: expected a text in question, got \["):
        completions(written(tmp_path, {"question": question, "answer": "cat"}))
