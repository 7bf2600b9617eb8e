"""Stored answers: never the gold column, each to its own item, and an empty one is never right, from every format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from sightline.cli.main import run
from sightline.errors import DataError
from sightline.evaluation.eval_config import EvalConfig
from sightline.evaluation.outcome import TaskOutcome
from sightline.evaluation.predictions import predicted_answers, read_predictions
from sightline.evaluation.run import run_eval
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task
from tests.evaluation.tasks.made import BLUE, RED, write_tsv
from tests.evaluation.test_run import write_xlsx

Rows = Sequence[dict[str, Any]]


@pytest.mark.parametrize(
    ("said", "gold", "answers"),
    [("nan", "red", ""), ("NaN", "red", ""), ("null", "red", ""), ("<NA>", "red", ""), ("None", "red", "None"),
     ("null", "Null", "null"), ("banana", "red", "banana")],
)  # fmt: skip
def test_words_for_nothing_are_no_answer_unless_they_may_be_one(
    said: str, gold: str, answers: str, tmp_path: Path
) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", [{"id": 1, "question": "What?", "answer": gold}])
    given = write_table(tmp_path / "said.csv", [{"id": 1, "prediction": said}])
    items = load_items(load_task("custom"), DataChoice(str(rows)))
    matched = predicted_answers(read_predictions(given), items)
    (answer,) = matched.answers
    assert (answer.text, bool(answer.error)) == (answers, not answers)
    assert ("1 predictions are empty" in " ".join(matched.notes)) == (not answers)


def write_lines(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_json(path: Path, rows: Rows) -> Path:
    path.write_text(json.dumps(rows))
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def cells_of(rows: Rows) -> list[tuple[str, ...]]:
    """Rows as pandas writes them into a table: nothing where there is none."""
    return [tuple(rows[0]), *(tuple("" if cell is None else str(cell) for cell in row.values()) for row in rows)]


def write_table(path: Path, rows: Rows) -> Path:
    separator = "\t" if path.suffix == ".tsv" else ","
    path.write_text("".join(separator.join(row) + "\n" for row in cells_of(rows)))
    return path


def write_excel(path: Path, rows: Rows) -> Path:
    write_xlsx(path, cells_of(rows))
    return path


WRITERS: dict[str, Callable[[Path, Rows], Path]] = {
    ".jsonl": write_lines,
    ".json": write_json,
    ".parquet": write_parquet,
    ".csv": write_table,
    ".tsv": write_table,
    ".xlsx": write_excel,
}


def questions(folder: Path, golds: Sequence[Any] = ("cat", "dog", "cow")) -> Path:
    """Questions without pictures, with ids 1, 2, ..."""
    rows = [
        {"id": str(number), "question": f"What is number {number}?", "answer": gold}
        for number, gold in enumerate(golds, start=1)
    ]
    return write_lines(folder / "rows.jsonl", rows)


def scored(data: Path, predictions: Path, task: str = "custom", **settings: Any) -> TaskOutcome:
    result = run_eval(EvalConfig("theirs", (task,), choice=DataChoice(str(data)), predictions=predictions, **settings))
    assert result is not None
    return result.tasks[task]


def scores(outcome: TaskOutcome) -> list[float]:
    return [sample.score for sample in outcome.samples]


def said_of(data: Path, predictions: Path, column: str = "") -> list[str]:
    """What each item of rows of one's own is given; an error in brackets."""
    matched = predicted_answers(read_predictions(predictions, column), load_items(load_task("custom"), choice(data)))
    return [answer.text or f"({answer.error})" for answer in matched.answers]


def choice(data: Path) -> DataChoice:
    return DataChoice(str(data))


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_empty_prediction_beside_a_gold_column_is_never_right(tmp_path: Path, suffix: str) -> None:
    """VLMEvalKit's files keep the gold answer as `answer` beside `prediction`."""
    golds = ("A", "B", "C", "D")
    rows = [
        {"index": 1 + place, "question": f"Question {place}?", "A": "cat", "B": "dog", "C": "cow", "D": "pig"}
        for place in range(4)
    ]
    bench = write_tsv(
        tmp_path / "bench.tsv", *({**row, "answer": gold, "image": RED} for row, gold in zip(rows, golds, strict=True))
    )
    said = ("A", "", "B", None)
    records = [{**row, "answer": gold, "prediction": text} for row, gold, text in zip(rows, golds, said, strict=True)]
    outcome = scored(bench, WRITERS[suffix](tmp_path / f"model_bench{suffix}", records))
    assert scores(outcome) == [1, 0, 0, 0]
    assert [bool(sample.error) for sample in outcome.samples] == [False, True, False, True]


@pytest.mark.parametrize("empty", [None, "", "  ", [], float("nan")])
def test_nothing_said_is_an_error_even_where_the_gold_answer_is_a_word_for_it(tmp_path: Path, empty: Any) -> None:
    data = questions(tmp_path, ("None", "nan", "none"))
    records = [{"id": str(number), "prediction": empty} for number in (1, 2, 3)]
    outcome = scored(data, write_lines(tmp_path / "said.jsonl", records))
    assert scores(outcome) == [0, 0, 0] and outcome.scores.errors == 3
    assert outcome.samples[0].error == "said.jsonl record 1: prediction is empty"


def test_an_empty_answer_is_no_yes_under_popes_own_rules(tmp_path: Path) -> None:
    """POPE reads yes out of everything that has no "no" in it, which an answer that is not there must not become."""
    row = {"index": 1, "question": "Is there a dog?", "answer": "Yes", "category": "random", "image": RED}
    said = write_lines(tmp_path / "said.jsonl", [{"index": 1, "prediction": ""}])
    assert scores(scored(write_tsv(tmp_path / "POPE.tsv", row), said, "pope", profile="official")) == [0]


@pytest.mark.parametrize(
    "columns",
    [
        ("question", "answer"),
        ("question", "answer", "hypothesis"),
        ("text", "answer"),
        ("text", "output"),
        ("prediction", "response"),
        ("answer", "label"),
        ("Question", "Answer"),
    ],
)
def test_a_file_that_leaves_doubt_of_its_answers_is_asked_about(tmp_path: Path, columns: tuple[str, ...]) -> None:
    said = write_lines(tmp_path / "said.jsonl", [{"id": "1", **dict.fromkeys(columns, "What is number 1? cat")}])
    with pytest.raises(DataError, match=rf"said.jsonl: which column .* Its columns are id, {', '.join(columns)}\."):
        scored(questions(tmp_path), said)
    outcome = scored(questions(tmp_path, ("What is number 1? cat",)), said, prediction_column=columns[0])
    assert scores(outcome) == [1]


def test_a_column_that_the_file_lacks_is_refused_with_the_nearest(tmp_path: Path) -> None:
    said = write_lines(tmp_path / "said.jsonl", [{"id": "1", "respons": "cat"}])
    with pytest.raises(DataError, match="--prediction_column: said.jsonl has id, respons; got 'response'.*respons"):
        scored(questions(tmp_path), said, prediction_column="response")


@pytest.mark.parametrize(
    "record",
    [
        {"question_id": 1, "question": "What is number 1?", "answer": "gold", "pred": "cat"},
        {"index": 1, "answer": "gold", "Prediction": "cat"},
        {"id": "1", "answer": "cat"},
        {"question_id": 1, "prompt": "What is number 1?\nAnswer shortly.", "text": "cat", "model_id": "m"},
        {"id": 1.0, "prediction": ["cat"]},
        {"doc_id": 0, "target": "gold", "filtered_resps": ["cat"], "resps": [["cat"]], "input": "What is number 1?"},
        {"doc_id": 5, "doc": {"id": "1"}, "target": "gold", "filtered_resps": "cat", "resps": [["cat"]]},
    ],
)
def test_answers_are_found_under_the_names_that_harnesses_give_them(tmp_path: Path, record: dict[str, Any]) -> None:
    assert said_of(questions(tmp_path), write_lines(tmp_path / "said.jsonl", [record]))[0] == "cat"


def test_records_by_id_are_read_as_mathvista_writes_them(tmp_path: Path) -> None:
    said = tmp_path / "said.json"
    said.write_text(json.dumps({"1": {"answer": "gold", "response": "cat"}, "2": {"answer": "gold", "response": "x"}}))
    assert said_of(questions(tmp_path), said)[:2] == ["cat", "x"]


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("ids", [("1", "2", "3"), (1, 2, 3), (1.0, 2.0, 3.0)])
def test_an_id_is_the_same_as_number_and_as_text(tmp_path: Path, suffix: str, ids: tuple[Any, ...]) -> None:
    records = [{"id": key, "prediction": said} for key, said in zip(ids, ("cat", "dog", "cow"), strict=True)]
    outcome = scored(questions(tmp_path), WRITERS[suffix](tmp_path / f"said{suffix}", records))
    assert scores(outcome) == [1, 1, 1]


def test_rows_whose_ids_pandas_made_floats_have_whole_ids(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "f.jsonl", [{"id": 7.0, "question": "What?", "answer": 3.0}])
    (item,) = load_items(load_task("custom"), choice(data)).items
    assert (item.id, item.answers) == ("7", ("3",))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": 1, "prediction": "a"}, {"id": "1", "prediction": "b"}], "record 2: the id '1' was there before"),
        ([{"id": 1, "prediction": "a"}, {"id": None, "prediction": "b"}], "record 2: expected an id in id, got None"),
        ([{"id": 1, "prediction": "a"}, {"prediction": "b"}], "record 2: expected an id in id, got None"),
        ([{"name": 1, "prediction": "a"}], "expected an id of each record's item in id, index.*found name, prediction"),
        ([{"id": 1, "prediction": ["a", "b"]}], r"record 1: prediction: expected an answer, got \['a', 'b'\]"),
        ([{"id": 1, "prediction": {"text": "a"}}], "record 1: prediction: expected an answer, got {'text': 'a'}"),
        ([{"id": 1, "question": "What is number 2?", "prediction": "a"}], "the record's question is 'What is number 2"),
        ([], "said.jsonl has no records"),
    ],
)
def test_records_that_cannot_be_assigned_stop_the_command(tmp_path: Path, records: Rows, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scored(questions(tmp_path), write_lines(tmp_path / "said.jsonl", records))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,prediction\n1,a,b\n", "said.csv record 1: expected 2 values as the header has, got 3"),
        ("id,prediction\n1\n", "said.csv record 1: expected 2 values as the header has, got 1"),
        ("id,prediction,prediction\n1,a,b\n", "the header names prediction more than once"),
        ("id;prediction\n1;a\n", "Its columns are id;prediction"),
    ],
)
def test_a_table_that_does_not_fit_its_header_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "said.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        scored(questions(tmp_path), tmp_path / "said.csv")


def test_what_became_of_every_prediction_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"id": 1, "prediction": "cat"}, {"id": 2, "prediction": ""}, {"id": 9, "prediction": "cow"}]
    said = write_lines(tmp_path / "said.jsonl", records)
    assert run(["eval", "--data", str(questions(tmp_path)), "--predictions", str(said)]) == 0
    told = capsys.readouterr().err
    assert "said.jsonl: answers from the column prediction, items by id." in told
    assert "said.jsonl: 1 of 3 predictions are of no item that was asked (9)." in told
    assert "said.jsonl: 1 of 3 items have no prediction, and count as wrong." in told
    assert "said.jsonl: 1 predictions are empty, and count as wrong." in told


def test_of_two_id_columns_the_one_is_taken_whose_questions_are_the_items(tmp_path: Path) -> None:
    """A running index from 0 beside ids from 1 would give each item its neighbour's answer."""
    said = ("cat", "dog", "cow")
    records = [
        {"index": place, "pid": place + 1, "question": f"What is number {place + 1}?", "prediction": text}
        for place, text in enumerate(said)
    ]
    data = questions(tmp_path)
    assert said_of(data, write_lines(tmp_path / "said.jsonl", records)) == ["cat", "dog", "cow"]
    bare = [{name: value for name, value in record.items() if name != "question"} for record in records[1:]]
    with pytest.raises(DataError, match="index and pid name different items, and both fit"):
        said_of(data, write_lines(tmp_path / "said.jsonl", bare))


def test_an_lmms_eval_file_of_rows_in_another_order_is_refused(tmp_path: Path) -> None:
    records = [
        {"doc_id": place, "filtered_resps": "cat", "input": f"What is number {3 - place}?"} for place in range(3)
    ]
    with pytest.raises(DataError, match="the id '0' is that of an item that asks 'What is number 1"):
        said_of(questions(tmp_path), write_lines(tmp_path / "said.jsonl", records))


POPE = [
    ("Is there a dog in the image?", "Yes", "adversarial,popular,random"),
    ("Is there a cat in the image?", "No", "adversarial"),
    ("Is there a car in the image?", "No", "popular,random"),
]


def test_vlmevalkits_pope_file_answers_a_question_in_all_its_categories(tmp_path: Path) -> None:
    """The file has a row per question; POPE_rating gives each to all its categories before it counts: 5 of 6 here."""
    rows = [
        {"index": place, "question": f"{asked} Please answer yes or no.", "answer": gold, "category": category}
        for place, (asked, gold, category) in enumerate(POPE)
    ]
    records = [{**row, "prediction": said} for row, said in zip(rows, ("Yes", "Yes", "No"), strict=True)]
    said = write_excel(tmp_path / "model_POPE.xlsx", records)
    outcome = scored(
        write_tsv(tmp_path / "POPE.tsv", *({**row, "image": RED} for row in rows)), said, "pope", profile="vlmevalkit"
    )
    assert {sample.id: sample.score for sample in outcome.samples} == {
        "adversarial-0": 1, "popular-0": 1, "random-0": 1, "adversarial-1": 0, "popular-2": 1, "random-2": 1,
    }  # fmt: skip


def hub_rows(folder: Path, rows: Rows) -> Path:
    (folder / "red.png").write_bytes(RED)
    (folder / "blue.png").write_bytes(BLUE)
    return write_lines(folder / "hub.jsonl", [{"image": "red.png", **row} for row in rows])


def llava(question_id: Any, asked: str, said: str) -> dict[str, Any]:
    prompt = f"{asked}\nAnswer the question using a single word or phrase."
    return {"question_id": question_id, "prompt": prompt, "text": said, "answer_id": "x", "model_id": "llava"}


def test_llavas_pope_file_names_questions_by_its_own_numbers(tmp_path: Path) -> None:
    """The samplings count from 1, 10,000,001 and 20,000,001 there, and each from 1 in the Hub's rows."""
    asked = {name: f"Is there a {name} in the image?" for name in ("dog", "cat", "car")}
    data = hub_rows(
        tmp_path,
        [
            {"question_id": "1", "question": asked["dog"], "answer": "yes", "category": "adversarial"},
            {"question_id": "1", "question": asked["dog"], "answer": "yes", "category": "popular"},
            {"question_id": "1", "question": asked["cat"], "answer": "no", "category": "random"},
        ],
    )
    records = [
        llava(20_000_001, asked["dog"], "No"),
        llava(1, asked["dog"], "Yes"),
        llava(10_000_001, asked["cat"], "No"),
    ]
    outcome = scored(data, write_lines(tmp_path / "answers.jsonl", records), "pope")
    assert {sample.id: sample.prediction for sample in outcome.samples} == {
        "adversarial-1": "Yes",
        "popular-1": "No",
        "random-1": "No",
    }


def test_question_ids_that_run_through_all_samplings_are_read_too(tmp_path: Path) -> None:
    rows = [
        {"question_id": place + 1, "question": asked, "answer": gold.lower(), "category": category}
        for place, (asked, gold, category) in enumerate(
            (asked, gold, kinds.split(",")[0]) for asked, gold, kinds in POPE
        )
    ]
    records = [llava(row["question_id"], str(row["question"]), said) for row, said in zip(rows, "YNN", strict=True)]
    outcome = scored(hub_rows(tmp_path, rows), write_lines(tmp_path / "answers.jsonl", records), "pope")
    assert [sample.prediction for sample in outcome.samples] == ["Y", "N", "N"]


def test_llavas_mme_file_tells_the_two_questions_of_a_picture_by_their_prompts(tmp_path: Path) -> None:
    asked = ("Is there one cat?", "Are there two cats?")
    rows = [
        {
            "question_id": "count/1.png",
            "question": f"{text} Please answer yes or no.",
            "answer": gold,
            "category": "count",
        }
        for text, gold in zip(asked, ("No", "Yes"), strict=True)
    ]
    data = hub_rows(tmp_path, rows)
    records = [llava("count/1.png", asked[1], "Yes"), llava("count/1.png", asked[0], "No")]
    outcome = scored(data, write_lines(tmp_path / "answers.jsonl", records), "mme")
    assert [sample.prediction for sample in outcome.samples] == ["No", "Yes"] and scores(outcome) == [1, 1]
    blind = [{"question_id": record["question_id"], "text": record["text"]} for record in records]
    with pytest.raises(DataError, match="the id 'count/1.png' is that of 2 items with different questions"):
        scored(data, write_lines(tmp_path / "answers.jsonl", blind), "mme")
    with pytest.raises(DataError, match="record 3: the id 'count/1.png' was there before"):
        scored(data, write_lines(tmp_path / "answers.jsonl", [*records, records[0]]), "mme")


@pytest.mark.parametrize(("gold", "said", "score"), [(True, True, 1), (True, False, 0), ("True", True, 1), (2, 2.0, 1)])
def test_booleans_and_numbers_are_answers(tmp_path: Path, gold: Any, said: Any, score: float) -> None:
    data = questions(tmp_path, (gold,))
    assert scores(scored(data, write_lines(tmp_path / "said.jsonl", [{"id": 1, "prediction": said}]))) == [score]


def test_our_own_samples_and_exports_are_predictions_again(tmp_path: Path) -> None:
    data, said = questions(tmp_path), write_lines(tmp_path / "said.jsonl", [{"id": 2, "prediction": "dog"}])
    asked = ["eval", "--data", str(data), "--predictions", str(said), "--model", "m", "--export", "lmms-eval"]
    assert run([*asked, "--output_dir", str(tmp_path / "run")]) == 0
    (exported,) = (tmp_path / "run" / "lmms-eval" / "m").glob("*_samples_custom.jsonl")
    for again in (tmp_path / "run" / "samples.jsonl", exported):
        outcome = scored(data, again)
        assert scores(outcome) == [0, 1, 0] and outcome.scores.errors == 2


def test_samples_with_an_item_twice_are_neither_scored_again_nor_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = write_lines(tmp_path / "said.jsonl", [{"id": 2, "prediction": "dog"}])
    asked = ["eval", "--data", str(questions(tmp_path)), "--predictions", str(said), "--model", "m"]
    folder = tmp_path / "run"
    assert run([*asked, "--output_dir", str(folder)]) == 0
    samples = folder / "samples.jsonl"
    samples.write_text(samples.read_text() + samples.read_text().splitlines()[0] + "\n")
    for command in (["score", str(folder)], ["compare", str(folder), str(folder)]):
        assert run(command) == 2
        assert "the item '1' of custom is there more than once" in capsys.readouterr().err
