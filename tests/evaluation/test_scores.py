"""Answers that no scorer can read are unparsed, and end no run; closed answers have a majority baseline."""

from __future__ import annotations

import pytest

from sightline.evaluation.profiles import EXACT, MATHVISTA
from sightline.evaluation.scores import _verdict, majority_baseline
from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.records import Item

DIGITS = "9" * 6000


@pytest.mark.parametrize("answer", [DIGITS, f"{DIGITS} dozen", f"{DIGITS} x 10^2", f"{DIGITS}e5", f"1/{DIGITS}"])
@pytest.mark.parametrize("profile", ["strict", "official", "vlmevalkit", "lmms-eval"])
def test_a_number_of_thousands_of_digits_is_no_right_answer(answer, profile):
    facts = {"answer_type": "integer", "question_type": "free_form", "precision": None, "unit": ""}
    item = Item("1", "row 1", "how many ?", answers=("3",), facts=facts)
    assert _verdict(MATHVISTA.scorers[profile], item, answer).score == 0.0
    if profile in EXACT.scorers:
        assert _verdict(EXACT.scorers[profile], item, answer).score == 0.0


def test_an_error_of_a_scorer_is_not_taken_for_an_answer():
    def broken(item, answer):
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="a mistake of ours"):
        _verdict(broken, Item("1", "row 1", "what ?", answers=("red",)), "red")


def items(*golds: tuple[str, str], options: tuple[str, ...] = ()) -> list[Item]:
    """Items of (gold answers with a bar between, category)."""
    return [
        Item(str(place), f"row {place}", "what ?", answers=tuple(gold.split("|")), category=category, options=options)
        for place, (gold, category) in enumerate(golds)
    ]


def test_each_category_has_its_own_majority():
    """Colour: red twice of three, whatever its case. Count: 2 and 3 once each, the first in the alphabet is taken."""
    found = majority_baseline(
        load_task("custom"),
        items(("Red", "colour"), ("red", "colour"), ("blue", "colour"), ("3", "count"), ("2", "count"), ("red", "")),
        "strict",
    )
    assert found is None, "four answers of six items are open"
    golds = (("Red", "colour"), ("red", "colour"), ("blue", "colour"), ("3", "count"), ("2", "count"), ("2", "old"))
    found = majority_baseline(load_task("custom"), items(*golds, ("red", ""), ("blue", "")), "strict")
    assert found is not None and found.answers == {"colour": "Red", "count": "2", "old": "2", "": "blue"}
    assert [one.verdict.score for one in found.scores.judged] == [1, 1, 0, 0, 1, 1, 0, 1]
    assert found.scores.metrics[0].interval.value == 5 / 8
    assert found.scores.categories["colour"].interval.value == 2 / 3


def test_of_several_golds_of_an_item_the_most_frequent_is_counted():
    people = (("a|dog|Dog|b", ""), ("dog|cat|dog|dog", ""), ("x|x|x|x", ""), ("dog|y|z|v", ""))
    found = majority_baseline(load_task("vqav2_val"), items(*people), "strict")
    assert found is not None and found.answers == {"": "dog"}


@pytest.mark.parametrize(
    ("task", "golds", "options", "value"),
    [
        ("pope", ("yes", "no", "no"), (), None),
        ("custom", ("B", "A", "B"), ("cat", "dog"), 2 / 3),
        ("custom", ("A", "B"), ("cat", "dog"), 1 / 2),
        ("custom", ("yes",), (), 1.0),
    ],
)
def test_options_and_yes_or_no_are_closed_however_few_there_are(task, golds, options, value):
    found = majority_baseline(load_task(task), items(*((gold, "") for gold in golds), options=options), "strict")
    assert found is not None
    headline = found.scores.metrics[0]
    assert headline.name != "accuracy" or headline.interval.value == value


@pytest.mark.parametrize("golds", [("red", "blue", "green"), ("a dog runs|two dogs", "a cat"), ("red", "red", "blue")])
def test_open_answers_have_no_majority(golds):
    assert majority_baseline(load_task("custom"), items(*((gold, "") for gold in golds)), "strict") is None


def test_the_majority_is_scored_by_the_metrics_of_its_task():
    """MMBench's circular accuracy wants every rotation right, which one letter never is."""
    rotations = [
        Item(f"1-{place}", "row", "what ?", answers=(letter,), options=("a", "b"), group="1", facts={"group_size": 2})
        for place, letter in enumerate("AB")
    ]
    found = majority_baseline(load_task("mmbench_dev_en"), rotations, "strict")
    assert found is not None
    assert {score.name: score.interval.value for score in found.scores.metrics}["circular_accuracy"] == 0
