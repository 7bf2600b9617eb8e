"""Answers that no scorer can read are unparsed, and end no run."""

from __future__ import annotations

import pytest

from sightline.evaluation.profiles import EXACT, MATHVISTA
from sightline.evaluation.scores import _verdict
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
