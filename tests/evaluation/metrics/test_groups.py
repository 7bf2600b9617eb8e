"""CircularEval, MME and counts: the peers' figures, and figures worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import DataError
from sightline.evaluation.metrics.groups import MME_CATEGORIES, circular_accuracy, mme_metrics, vanilla_accuracy
from sightline.evaluation.metrics.means import MMMU_DISCIPLINES
from sightline.evaluation.profiles import MMBENCH, MME, MMMU, OCRBENCH
from sightline.evaluation.scores import score_task
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.records import Judged, Verdict
from tests.evaluation.tasks.made import RED, from_hub, from_tsv
from tests.scoring.cases import item, read_cases

ROTATION = 1_000_000


def rotations(shared: Path) -> tuple[dict, list[tuple[dict, list[Judged]]]]:
    """The file, and each of its cases with its judged rotations."""
    data = read_cases(shared, "vlmevalkit_circular.json")
    cases = []
    for case in data["cases"]:
        scored = []
        for row in case["rows"]:
            options = [row[letter] for letter in "ABCD" if row.get(letter)]
            asked = item(
                [row["answer"]],
                options,
                id=str(row["index"]),
                group=str(row["index"] % ROTATION),
                category=row["category"],
                **{"l2-category": row["l2-category"], "split": row["split"]},
            )
            scored.append(Judged(asked, row["prediction"], MMBENCH.scorers["vlmevalkit"](asked, row["prediction"])))
        cases.append((case, scored))
    return data, cases


def test_a_group_is_right_where_every_rotation_is(shared: Path) -> None:
    _, cases = rotations(shared)
    for case, scored in cases:
        assert circular_accuracy().value(scored) == case["circular_hit"], case["id"]
        assert {one.item.id: one.verdict.score for one in scored} == case["vanilla_hits"], case["id"]


def test_the_report_of_circular_accuracies_comes_out(shared: Path) -> None:
    data, cases = rotations(shared)
    report = data["report_acc_circular"]
    scored = [one for _, case in cases for one in case]
    for column, split in enumerate(report["split"]):
        part = [one for one in scored if one.item.facts["split"] == split]
        assert circular_accuracy().value(part) == pytest.approx(report["Overall"][column])
        for name in (name for name in report if name not in ("split", "Overall")):
            named = [one for one in part if name in (one.item.category, one.item.facts["l2-category"])]
            if named:
                assert circular_accuracy().value(named) == pytest.approx(report[name][column]), (split, name)
            else:
                assert report[name][column] == "nan"


def test_vanilla_accuracy_asks_the_first_rotation_alone() -> None:
    """Two groups of two: the first right, then wrong; the second wrong, then right."""
    scored = [
        Judged(item(id=f"{group}{turn}", group=group), "", Verdict(score, "A"))
        for group, turn, score in (("x", 0, 1.0), ("x", 1, 0.0), ("y", 0, 0.0), ("y", 1, 1.0))
    ]
    assert (vanilla_accuracy().value(scored), circular_accuracy().value(scored)) == (0.5, 0.0)


def test_mme_worked_by_hand() -> None:
    """Existence: 3 of 4 right, 1 of 2 pictures: 75 + 50. Code: 2 of 2, 1 of 1: 200."""
    rows = [
        ("existence", "a", "Yes", "Yes"),
        ("existence", "a", "No", "No, it is not"),
        ("existence", "b", "Yes", "Yes."),
        ("existence", "b", "No", "maybe"),
        ("code_reasoning", "c", "Yes", "yes"),
        ("code_reasoning", "c", "No", "no"),
    ]
    scored = []
    for row, (category, picture, gold, answer) in enumerate(rows):
        asked = item([gold], id=str(row), category=category, group=picture)
        scored.append(Judged(asked, answer, MME.scorers["official"](asked, answer)))
    perception, cognition, score = (metric.value(scored) for metric in mme_metrics())
    assert (perception, cognition, score) == (125.0, 200.0, 325.0)
    assert [metric.scale for metric in mme_metrics()] == [2000.0, 800.0, 2800.0]


@pytest.mark.parametrize("category", MME_CATEGORIES)
def test_mmes_table_of_categories_has_each_categorys_own_score(category: str) -> None:
    """3 of 4 right, 1 of 2 pictures: 75 + 50 of 200, of cognition as of perception."""
    golds = [("a", 1.0), ("a", 1.0), ("b", 1.0), ("b", 0.0)]
    scored = [
        Judged(item(["yes"], id=str(row), category=category, group=group), "", Verdict(score, "yes"))
        for row, (group, score) in enumerate(golds)
    ]
    scores = score_task(load_task("mme"), scored, "official")
    assert scores.metrics[0].name == "perception"
    (found,) = scores.categories.values()
    assert (found.name, found.interval.value, found.scale) == ("score", 125.0, 200.0)
    assert found.bounds == (125.0, 125.0)


def test_the_categories_of_mme_are_those_of_the_official_tool(shared: Path) -> None:
    data = read_cases(shared, "mme_score.json")
    assert set(data["expected_mme_official"]) <= set(MME_CATEGORIES)
    assert len(set(MME_CATEGORIES)) == 14
    with pytest.raises(DataError, match="expected the category to be one of existence, .*got 'ocr', which no score"):
        from_hub("mme", {"question_id": "1", "question": "?", "answer": "Yes", "category": "ocr", "image": RED})


@pytest.mark.parametrize(("answer", "gold"), [("Yes", "yes"), ("No.", "no"), (" no ", "no"), (True, "yes")])
def test_mmes_gold_answers_are_read_as_the_peers_read_them(answer: object, gold: str) -> None:
    row = {"question_id": "1", "question": "?", "answer": answer, "category": "OCR", "image": RED}
    assert from_hub("mme", row)[0].answers == (gold,)


def test_a_picture_with_one_of_its_two_questions_is_said(tmp_path: Path) -> None:
    """Its one right answer counts as both being right, which a score out of whole pairs does not."""
    rows = [
        {"index": number, "image": RED, "image_path": f"{number // 2}.png", "question": f"{number}?", "answer": "Yes",
         "category": "count"}
        for number in range(3)
    ]  # fmt: skip
    items = from_tsv(tmp_path, "mme", *rows)
    assert items.notes == ("1 of 2 groups lack a row (count/1.png): they are easier to answer right as a whole.",)
    assert from_tsv(tmp_path, "mme", *rows[:2]).notes == ()


def test_mme_rows_at_hand_fit_the_figures_of_the_official_tool(shared: Path) -> None:
    """Of the 36 rows behind the figures, 12 a category, the file holds 21: rights and wrongs must fit."""
    data = read_cases(shared, "mme_score.json")
    for category, expected in data["expected_mme_official"].items():
        right = round(12 * expected["acc"])
        assert expected["score"] == pytest.approx(100 * expected["acc"] + 100 * expected["acc_plus"])
        assert expected["score"] == pytest.approx(data["lmms_eval_mme_aggregate_results"][category])
        verdicts = [
            MME.scorers["official"](item([case["answer"]]), case["prediction"])
            for case in data["cases"]
            if case["category"] == category
        ]
        assert sum(verdict.score for verdict in verdicts) <= right
        assert sum(1 - verdict.score for verdict in verdicts) <= 12 - right
        assert sum(verdict.parsed is None for verdict in verdicts) <= expected["other_num"]


def test_ocrbench_counts_points() -> None:
    scored = [Judged(item(["a"], id=str(row)), "", Verdict(float(row < 3), "x")) for row in range(5)]
    metric = OCRBENCH.metrics["official"][0]
    assert (metric.value(scored), metric.scale) == (3.0, 1000.0)


def test_mmmu_disciplines_hold_each_of_the_30_subjects_once() -> None:
    subjects = [subject for discipline in MMMU_DISCIPLINES.values() for subject in discipline]
    assert len(subjects) == len(set(subjects)) == 30
    scored = [
        Judged(item(id=subject, category=subject), "", Verdict(float(subject in MMMU_DISCIPLINES["Science"]), "x"))
        for subject in subjects
    ]
    values = {metric.name: metric.value(scored) for metric in MMMU.metrics["strict"]}
    assert values == {"accuracy": 5 / 30, **{name: float(name == "Science") for name in MMMU_DISCIPLINES}}
