"""The majority baseline answers with the most frequent answer of each kind."""

from __future__ import annotations

from sightline.evaluation.baselines import majority_baseline
from tests.evaluation.answerers import vqa_row


def test_each_kind_has_its_own_majority() -> None:
    """Colour: red twice of three. Count: 2 and 3 once each, the first in the alphabet is taken."""
    golds = [("red", "colour"), ("Red", "colour"), ("blue", "colour"), ("3", "count"), ("2", "count")]
    result = majority_baseline([vqa_row(index, gold, kind, index) for index, (gold, kind) in enumerate(golds)])
    assert [item.prediction for item in result.items] == ["red", "red", "red", "2", "2"]
    assert result.accuracy.value == 0.6


def test_the_majority_may_be_learned_from_other_rows_and_new_kinds_get_the_overall_one() -> None:
    training = [vqa_row(0, "yes", "is"), vqa_row(1, "yes", "is"), vqa_row(2, "blue", "colour")]
    result = majority_baseline([vqa_row(0, "blue", "colour"), vqa_row(1, "yes", "other")], training)
    assert [item.prediction for item in result.items] == ["blue", "yes"]
