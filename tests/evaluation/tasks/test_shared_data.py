"""The tasks on real files of ../shared/data: every row is an item, and the counts are those of the manifests."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sightline.evaluation.items import Items
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.records import Item, Verdict
from sightline.scoring.short_answers import score_visonlyqa


def load(shared: Path, name: str, limit: int | None = None) -> Items:
    """The items of a task, found in the folder as a folder of benchmarks."""
    return load_items(load_task(name), DataChoice(benchmarks=shared / "data", limit=limit))


def right_answer(item: Item) -> str:
    return item.answers[0]


@pytest.mark.parametrize(
    ("name", "rows", "pictures"),
    [
        pytest.param("easy_vqa", 4890, 500, marks=pytest.mark.slow),
        pytest.param("nlvr_v1", 1978, 1953, marks=pytest.mark.slow),  # some sentences share a picture
        pytest.param("vqa_rad", 1816, 251, marks=pytest.mark.slow),
        pytest.param("puzzlevqa", 556, 556, marks=pytest.mark.slow),
        ("visonlyqa_real", 351, 185),
        ("coco_caption_cc", 74, 74),
    ],
)
def test_every_row_is_an_item_and_gold_answers_score_full_marks(
    shared: Path, name: str, rows: int, pictures: int
) -> None:
    found = load(shared, name)
    assert len(found.items) == rows
    assert len({item.pictures[0].key for item in found.items}) == pictures
    assert found.bad_rows == found.notes == ()
    task = load_task(name)
    for item in found.items:
        assert task.scorers["strict"](item, right_answer(item)) == Verdict(1.0, right_answer(item)), item.id


@pytest.mark.parametrize(
    ("name", "categories"),
    [
        ("easy_vqa", {"yes/no", "shape", "colour"}),
        ("vqa_rad", {"CLOSED", "OPEN"}),
        ("nlvr_v1", {""}),
    ],
)
def test_categories_are_those_of_the_data(shared: Path, name: str, categories: set[str]) -> None:
    assert {item.category for item in load(shared, name, limit=60).items} == categories


def test_visonlyqa_has_a_prompt_of_its_publisher_and_ten_subsets(shared: Path) -> None:
    items = load(shared, "visonlyqa_real").items
    prompt = load_task("visonlyqa_real").prompts["official"]
    assert all("Your response should only include the final answer" in prompt(item) for item in items)
    assert len({item.category for item in items}) == 10


def test_strict_agrees_with_the_publishers_verdicts_on_visonlyqa(shared: Path) -> None:
    """1,755 answers of five models with the authors' verdicts, without exception."""
    folder = shared / "data" / "visonlyqa_real"
    rows = [json.loads(line) for line in (folder / "mcq.jsonl").read_text().splitlines()]
    asked = {row["id"]: row for row in rows}
    answers = [json.loads(line) for line in (folder / "responses.jsonl").read_text().splitlines()]
    found: Counter[bool] = Counter()
    for answer in answers:
        row = asked[answer["id"]]
        facts = {"question_type": row["question_type"]}
        item = Item(answer["id"], "row", row["question"], answers=(answer["answer"],), facts=facts)
        said = answer["response"] if isinstance(answer["response"], str) else answer["response"][0]
        found[(score_visonlyqa(item, said).score == 1) == answer["official_correct"]] += 1
    assert found == {True: 1755}
