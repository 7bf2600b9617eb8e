"""Stored answers are found by id in any order, and may all be missing; nothing is asked of them twice or kept again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.answering.answerers import StoredAnswerer
from sightline.answering.asking import ask_all
from sightline.answering.requests import request_of
from sightline.evaluation.eval_config import EvalConfig
from sightline.evaluation.outcome import RunResult
from sightline.evaluation.run import run_eval
from sightline.evaluation.sources import DataChoice
from sightline.types import Answer, Question
from tests.evaluation.made_runs import write_lines


def test_each_question_gets_the_answer_of_its_id() -> None:
    answerer = StoredAnswerer("theirs", {"a": Answer("1"), "b": Answer("2")})
    assert [answer.text for answer in answerer.answer([Question("b"), Question("a")])] == ["2", "1"]
    assert [placed.place for placed in answerer.answer_as_ready([Question("b"), Question("a")])] == [0, 1]


def test_a_file_in_which_every_answer_is_missing_is_no_broken_machine() -> None:
    answerer = StoredAnswerer("theirs", dict.fromkeys("abc", Answer(error="is empty")))
    requests = [request_of(Question(id_), "") for id_ in "abc"]
    assert [answer.error for answer in ask_all(answerer, requests).values()] == ["is empty"] * 3


def test_items_that_ask_the_same_may_have_different_answers(tmp_path: Path) -> None:
    """A model is asked equal questions once; a file holds an answer for each."""
    rows = [{"id": id_, "question": "red ?", "answer": "yes"} for id_ in ("a", "b")]
    said = [{"id": "b", "prediction": "no"}, {"id": "a", "prediction": "yes"}]
    data, given = write_lines(tmp_path / "rows.jsonl", rows), write_lines(tmp_path / "said.jsonl", said)
    assert predictions(stored(data, given)) == ["yes", "no"]


def test_a_resumed_run_reads_the_file_as_it_is_now(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "rows.jsonl", [{"id": "a", "question": "red ?", "answer": "yes"}])
    given, run = write_lines(tmp_path / "said.jsonl", [{"id": "a", "prediction": "no"}]), tmp_path / "run"
    assert predictions(stored(data, given, output_dir=run)) == ["no"]
    assert not (run / "journal").exists(), "the file itself keeps the answers"
    write_lines(given, [{"id": "a", "prediction": "yes"}])
    assert predictions(stored(data, given, output_dir=run, resume=True)) == ["yes"]


@pytest.mark.parametrize(("model", "name"), [("theirs", "theirs"), ("", "said.jsonl")])
def test_who_answered_is_the_model_or_the_file(tmp_path: Path, model: str, name: str) -> None:
    data = write_lines(tmp_path / "rows.jsonl", [{"id": "a", "question": "red ?", "answer": "yes"}])
    given = write_lines(tmp_path / "said.jsonl", [{"id": "a", "prediction": "yes"}])
    result = stored(data, given, model=model)
    assert Path(result.model).name == name
    outcome = result.tasks["custom"]
    assert (outcome.prompt, outcome.samples[0].prompt) == ("not known: stored predictions", "")


def stored(data: Path, given: Path, **settings: object) -> RunResult:
    result = run_eval(EvalConfig(choice=DataChoice(str(data)), predictions=given, **settings))  # type: ignore[arg-type]
    assert result is not None
    return result


def predictions(result: RunResult) -> list[str]:
    return [sample.prediction for sample in result.tasks["custom"].samples]
