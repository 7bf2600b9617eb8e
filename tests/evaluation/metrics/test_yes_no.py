"""POPE's figures: the official ones, those of the peers, and bounds that hold what unparsed answers leave open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.evaluation.metrics.intervals import bounds
from sightline.evaluation.metrics.yes_no import yes_no_metrics
from sightline.evaluation.profiles import POPE
from sightline.scoring.records import Judged
from tests.scoring.cases import item, read_cases

SAME = {"accuracy": "acc", "precision": "precision", "recall": "recall", "f1": "f1", "yes_ratio": "yes_ratio"}


def judged(case: dict[str, Any], profile: str, categories: tuple[str, ...] = ("",)) -> list[Judged]:
    scored = []
    for row, (label, answer) in enumerate(zip(case["labels"], case["predictions"], strict=True)):
        asked = item([label], id=str(row), category=categories[row % len(categories)])
        scored.append(Judged(asked, answer, POPE.scorers[profile](asked, answer)))
    return scored


def figures(scored: list[Judged], profile: str) -> dict[str, float]:
    return {metric.name: metric.value(scored) for metric in POPE.metrics[profile]}


def test_official_figures_come_out(shared: Path) -> None:
    for case in read_cases(shared, "pope_metrics.json")["cases"]:
        found, expected = figures(judged(case, "official"), "official"), case["expected_pope_official"]
        if "raises" in expected:  # never yes: precision and F1 are 0 here, a division by zero there
            assert (found["precision"], found["f1"]) == (0, 0)
            continue
        for ours, theirs in SAME.items():
            assert found[ours] == pytest.approx(expected[theirs], abs=1e-12), (case["id"], ours)


def test_lmms_evals_figures_come_out_with_their_quirks(shared: Path) -> None:
    """Unparsed answers vanish from recall, and the yes ratio is that of the gold answers."""
    for case in read_cases(shared, "pope_metrics.json")["cases"]:
        case["predictions"] = [answer.lower() for answer in case["predictions"]]
        found = figures(judged(case, "lmms-eval"), "lmms-eval")
        for ours, theirs in SAME.items():
            assert found[ours] == pytest.approx(case["lmms_eval"][theirs], abs=1e-12), (case["id"], ours)


def test_vlmevalkits_figures_come_out_with_items_counted_once_per_category(shared: Path) -> None:
    """The file's items are alternately of "popular,adversarial" and of "random"."""
    for case in read_cases(shared, "pope_metrics.json")["cases"]:
        expected = case["vlmevalkit_POPE_rating"]
        scored = judged(case, "vlmevalkit", ("popular,adversarial", "random"))
        parts = {"Overall": scored} | {
            name: [one for one in scored if name in one.item.category] for name in ("popular", "adversarial", "random")
        }
        for column, name in enumerate(expected["split"]):
            found = figures(parts[name], "vlmevalkit")
            for ours, theirs in (("f1", "Overall"), ("accuracy", "acc"), ("precision",) * 2, ("recall",) * 2):
                assert 100 * found[ours] == pytest.approx(expected[theirs][column], abs=1e-9), (case["id"], name, ours)


def test_strict_counts_unparsed_answers_as_wrong_on_both_sides() -> None:
    """One right yes, one unparsed yes (missed), one unparsed no (false alarm): F1 = 2 / (2 + 1 + 1)."""
    case = {"labels": ["yes", "yes", "no"], "predictions": ["yes", "I cannot tell", "hm"]}
    scored = judged(case, "strict")
    found = figures(scored, "strict")
    assert found["f1"] == 0.5
    assert found["accuracy"] == found["yes_ratio"] == pytest.approx(1 / 3)


def test_mean_f1_weighs_categories_alike() -> None:
    """F1 of 1 in one category and of 0 in the other."""
    case = {"labels": ["yes", "yes", "yes"], "predictions": ["yes", "no", "yes"]}
    scored = judged(case, "strict", ("random", "popular"))
    assert figures(scored, "strict")["mean_f1"] == 0.5
    assert figures(scored, "strict")["f1"] == pytest.approx(0.8)


@pytest.mark.parametrize("profile", ["strict", "lmms-eval", "vlmevalkit"])
def test_bounds_hold_every_way_of_reading_what_is_unparsed(profile: str) -> None:
    case = {"labels": ["yes", "no", "yes", "no", "yes"], "predictions": ["yes", "yes", "?", "?", "no"]}
    for metric in POPE.metrics[profile][:5]:
        low, high = bounds(metric, judged(case, profile))
        for said in (("yes", "no"), ("no", "yes"), ("yes", "yes"), ("no", "no")):
            read = {**case, "predictions": ["yes", "yes", *said, "no"]}
            assert low - 1e-12 <= metric.value(judged(read, profile)) <= high + 1e-12, (metric.name, said)


def test_bounds_of_a_run_without_unparsed_answers_are_its_value() -> None:
    scored = judged({"labels": ["yes", "no"], "predictions": ["yes", "yes"]}, "strict")
    for metric in yes_no_metrics():
        assert bounds(metric, scored) == (metric.value(scored), metric.value(scored))
