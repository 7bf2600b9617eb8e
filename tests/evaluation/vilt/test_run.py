"""ViLT's own rows as items: soft scores as ViLT counts them, judgements with their clusters."""

from __future__ import annotations

import pytest
from PIL import Image

from sightline.data.sources.stored import Row
from sightline.data.vilt.questions import AskedPicture
from sightline.data.vilt.sentences import JudgedPictures
from sightline.errors import DataError
from sightline.evaluation.tasks.nlvr import TASKS as NLVR
from sightline.evaluation.tasks.soft_answers import TASKS as SOFT
from sightline.evaluation.vilt.run import question_items, sentence_items
from tests.tiny import picture

SCORER = SOFT["soft_answers"].scorers["strict"]


@pytest.fixture
def path(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_what_two_of_three_people_said_scores_six_tenths(path):
    row = AskedPicture("r", path, path, "what?", {"red": 0.6, "dark red": 0.3}, "1", "other")
    task, items = question_items([row], "vqa.json")
    (item,) = items.items
    assert task.name == "soft_answers" and item.answers == ("red", "dark red") and item.category == "other"
    scores = {said: SCORER(item, said).score for said in ("Red.", "dark red", "blue", "")}
    assert scores == {"Red.": 0.6, "dark red": 0.3, "blue": 0.0, "": 0.0}
    assert SCORER(item, "").parsed is None


def test_rows_of_a_dataset_get_the_same_scores():
    cells = {"image": picture(0), "question": "what?", "answers": [{"answer": text} for text in ("red", "Red", "blue")]}
    (item,) = SOFT["soft_answers"].read("file", [Row("r", 1, cells)])
    assert item.facts["answer_scores"] == {"red": 0.6, "blue": 0.3}


def test_questions_without_any_answer_are_refused(path):
    with pytest.raises(DataError, match="no row has answers"):
        question_items([AskedPicture("r", path, path, "what?", {})], "vqa.json")


def test_sentences_are_clustered_by_the_pictures_they_share(path):
    rows = [JudgedPictures("r", (path, path), "both are red", 1, "dev-850", "1")]
    _, items = sentence_items(rows, "dev.json")
    (item,) = items.items
    assert (item.options, item.answers, item.facts["cluster"]) == (("false", "true"), ("B",), "dev-850")
    cells = {"id": "1", "image": picture(0), "question": "s", "answer": "true", "identifier": "12-3"}
    (from_task,) = NLVR["nlvr_v1"].read("file", [Row("r", 1, cells)])
    assert from_task.facts["cluster"] == "12"
