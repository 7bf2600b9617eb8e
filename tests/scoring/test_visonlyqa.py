"""VisOnlyQA's answers are read behind their reasoning: one letter, several, or true and false."""

from __future__ import annotations

import pytest

from sightline.scoring.records import Item
from sightline.scoring.visonlyqa import score_strict


def read(answer: str, gold: str, question: str, kind: str = "single_answer") -> str | None:
    item = Item(id="1", name="case", question=question, answers=(gold,), facts={"question_type": kind})
    return score_strict(item, answer).parsed


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("e", "e"),
        ("**E**", "e"),
        ("e) 46", "e"),
        ("46", "e"),
        ("\\boxed{e}", "e"),
        ("答案是e", "e"),
        ("The bar is a little lower than (a). So (d) is too high, and the answer is (e).", "e"),
        ("a is too high, b too low, so the best option is e.", "e"),
        ("(a) is too high.\n(b) is too low.\n\nThe value is about 46.", "e"),
        ("(a) or (e)", None),
        ("(a) 47 (b) 44 (c) 45 (d) 43 (e) 46", None),
        ("A bar chart.", None),
        ("I cannot determine the value.", None),
    ],
)
def test_one_letter_is_read_behind_reasoning(answer: str, said: str | None) -> None:
    assert read(answer, "e", "Which is a reasonable estimate? (a) 47 (b) 44 (c) 45 (d) 43 (e) 46 ") == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("True", "True"),
        ("**False**\n\nIt is true that both lines are long.", "False"),
        ("It would be true if the lines crossed, but they run apart. So the answer is False.", "False"),
        ("Step 1: it is true that AB is straight.\nStep 2: CD is bent.\n\nFalse", "False"),
        ("The statement is not true.", "False"),
        ("The lines AB and CD do not intersect.", "False"),
        ("错误", "False"),
        ("True or False?", None),
        ("It is neither true nor false.", None),
        ("I can't tell whether it is true or false.", None),
    ],
)
def test_truth_is_read_behind_reasoning(answer: str, said: str | None) -> None:
    assert read(answer, "True", "In the figure, the lines AB and CD intersect. True or False?") == said


def test_a_statement_that_denies_is_answered_by_true_and_false_alone() -> None:
    question = "In the figure, the lines AB and CD do not intersect. True or False?"
    assert read("The lines AB and CD do not intersect.", "True", question) is None
    assert read("The lines AB and CD do not intersect. True.", "True", question) == "True"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("a, c", "a,c"),
        ("**a, b, d**", "a,b,d"),
        ("The correct answers are (a), (c) and (d).", "a,c,d"),
        ("The answer is a and d.", "a,d"),
        ("(a) and (c) are correct, (b) is not.", "a,c"),
        ("- (a): correct\n- (b): incorrect\n- (c): correct", "a,c"),
        ("None of the options is right.", None),
        ("I cannot see the figure.", None),
    ],
)
def test_several_letters_are_read_where_several_are_asked_for(answer: str, said: str | None) -> None:
    assert read(answer, "a,c", "Which lines intersect? (a) AB (b) CD (c) EF (d) GH", "multiple_answers") == said
