"""The page and the tables of a run say what the run found: scores, bounds, blind baseline, categories, settings."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from sightline.data.pictures.images import OpenPicture
from sightline.evaluation.eval_report import eval_report
from sightline.evaluation.outcome import RunResult, TaskOutcome, category_table, outcome_table, shown
from sightline.evaluation.samples import sample_of
from sightline.evaluation.scores import majority_baseline, score_task
from sightline.evaluation.tasks.registry import load_task
from sightline.pages.report import render_report
from sightline.scoring.records import Item, Judged, Verdict
from sightline.types import Answer

PICTURES = {
    f"key {index}": OpenPicture(Image.new("RGB", (8, 8), (40 * index, 0, 0)), f"key {index}") for index in range(4)
}


def judged(index: int, said: str) -> Judged:
    """A question with the gold answer "red"; "?" cannot be read."""
    item = Item(
        id=str(index),
        name=f"row {index}",
        question=f"what colour is {index} ?",
        pictures=(PICTURES[f"key {index // 2}"],),
        answers=("red",),
        category=("near", "far")[index % 2],
    )
    return Judged(item, said, Verdict(float(said == "red"), None if said == "?" else said))


def outcome(name: str, said: list[str], blind: list[str] | None = None, **data: Any) -> TaskOutcome:
    task = load_task("custom")
    seeing = [judged(index, text) for index, text in enumerate(said)]
    unseeing = [judged(index, text) for index, text in enumerate(blind or [])]
    samples = tuple(
        sample_of(
            name,
            one,
            f"Look closely: {one.item.question}",
            Answer(one.answer),
            (unseeing[place], Answer(unseeing[place].answer)) if blind else None,
            None,
        )
        for place, one in enumerate(seeing)
    )
    scores = replace(score_task(task, seeing, "strict"), task=name)
    return TaskOutcome(
        title=f"The {name} task",
        prompt="official",
        max_new_tokens=16,
        data={"place": f"{name}.jsonl", "notes": ("An old copy.",), **data},
        scores=scores,
        samples=samples,
        blind=replace(score_task(task, unseeing, "strict"), task=name) if blind else None,
        majority=majority_baseline(task, [one.item for one in seeing], "strict"),
    )


def run_of(*outcomes: TaskOutcome) -> RunResult:
    tasks = {one.scores.task: one for one in outcomes}
    return RunResult("nano", {"method": "generate", "blind": True, "limit": None}, {"versions": {"torch": "2"}}, tasks)


@pytest.fixture
def result() -> RunResult:
    """Six of eight right, one wrong, one unparsed; two of eight right without pictures."""
    return run_of(outcome("colours", ["red"] * 6 + ["blue", "?"], ["red"] * 2 + ["blue"] * 6, bad_rows=["row 9"]))


def test_the_table_has_score_interval_unparsed_share_bound_and_the_blind_score(result: RunResult) -> None:
    table = outcome_table(result)
    assert table.header == ("task", "items", "score", "95% interval", "unparsed", "at best")
    seeing, blind, majority = table.rows
    assert (seeing[0], *seeing[1:3], *seeing[4:]) == ("colours accuracy", "8", "75.0%", "12.5%", "87.5%")
    assert blind[0].strip() == "without pictures" and blind[2] == "25.0%"
    assert (majority[0].strip(), *majority[1:3], *majority[4:]) == ("always 'red'", "", "100.0%", "", "")
    assert table.caption == (
        "8 questions, 4 pictures\nAt best: were all right that could not be read (unparsed).\n"
        "colours: prompt official, profile strict"
    )
    by_category = category_table(result.tasks["colours"])
    assert by_category.header[4:] == ("without pictures", "majority")
    assert [(*row[:3], *row[4:]) for row in by_category.rows] == [
        ("near", "4", "75.0%", "25.0%", "100.0%"),
        ("far", "4", "75.0%", "25.0%", "100.0%"),
    ]
    assert category_table(result.tasks["colours"], with_all=True).rows[-1][:3] == ("all", "8", "75.0%")


def test_values_are_shown_in_the_unit_of_their_metric() -> None:
    assert [shown(0.8512, 1.0), shown(1510.72, 2000.0), shown(1.0482, 10.0)] == ["85.1%", "1510.7", "1.048"]


def test_the_page_of_one_task_shows_its_figures_and_what_the_pictures_are_worth(result: RunResult) -> None:
    page = render_report(eval_report(result, PICTURES))
    for said in (
        "The colours task: 8 questions about 4 pictures.",
        "75.0%",
        "+50.0",
        "points owed to the pictures",
        "without them: 25.0%",
        "-25.0",
        "points above the majority",
        "the most frequent answers: 100.0%",
        "87.5% if all of these were right",
        "near (4)",
        "Left out, as they could not be used: 1 rows. An old copy.",
        "method generate, blind True",
    ):
        assert said in page


def test_the_samples_of_the_page_hold_prompt_answer_reading_and_the_blind_answer(result: RunResult) -> None:
    page = render_report(eval_report(result, PICTURES, max_pictures=2))
    shown_samples = json.loads(page.split('<script type="application/json">')[1].split("</script>")[0])
    assert [one["tag"] for one in shown_samples["samples"]] == ["right"] * 6 + ["wrong", "unparsed"]
    last = shown_samples["samples"][-1]
    assert last["prompt"] == "Look closely: what colour is 7 ?" and last["gold"] == ["red"]
    assert [(one["label"], one["parsed"]) for one in last["answers"]] == [
        ("with pictures", None),
        ("without pictures", "blue"),
    ]
    assert len(shown_samples["pictures"]) == 2 and "2 of 4 pictures are." in page


def test_several_tasks_stand_side_by_side(result: RunResult) -> None:
    both = run_of(result.tasks["colours"], outcome("shapes", ["red", "blue"]))
    report = eval_report(both, {}, note="The rows have moved.")
    assert [headline.label for headline in report.headlines] == ["The colours task", "The shapes task"]
    page = render_report(report)
    assert "2 tasks: 10 questions about 4 pictures." in page and "The rows have moved." in page
    assert "shapes accuracy" in page and "without pictures" in page
