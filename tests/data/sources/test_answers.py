"""What answer cells say: numbers, booleans, lists, records and lists written as text, in one spelling everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.data.sources.answers import answer_texts, options_meant, plain_text, written_list
from sightline.data.vilt.questions import row_scores
from sightline.errors import DataError


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (3.0, "3"), (-2.0, "-2"), (3.5, "3.5"), (True, "yes"), (False, "no"), (None, ""), (float("nan"), "")],
)
def test_a_value_is_written_as_people_write_it(value: Any, text: str) -> None:
    assert plain_text(value) == text


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ([None, "circle"], ("circle",)),
        ([{"answer": "cat", "answer_confidence": "yes"}, {"answer": None}], ("cat",)),
        ({"text": ["cat", "a cat"], "answer_start": [0, 4]}, ("cat", "a cat")),
        ({"aliases": ["x"], "value": 3.0}, ("3",)),
        (["2", "2"], ("2", "2")),
        ("  ", ()),
        ([float("nan")], ()),
    ],
)
def test_an_answer_cell_gives_all_its_answers_and_no_missing_one(value: Any, texts: tuple[str, ...]) -> None:
    assert answer_texts(value, "row 1: answers") == texts


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"bbox": [1, 2]},
            "row 1: answers: expected a record with answer, text, value, caption or raw, got one with bbox",
        ),
        ([["a"], ["b"]], "row 1: answers: expected answers, got a list in a list"),
        (b"cat", "row 1: answers: expected answers, got 3 bytes"),
    ],
)
def test_a_cell_that_is_no_answer_is_refused_with_what_it_holds(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        answer_texts(value, "row 1: answers")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["cat", null]', ["cat", None]),
        ("['cat', 'dog']", ["cat", "dog"]),
        ("['cat' 'dog']", ["cat", "dog"]),
        ("['a cat'\n \"a dog's\"]", ["a cat", "a dog's"]),
        ("['cat' 'dog', 'cow']", "['cat' 'dog', 'cow']"),
        ('{"A": "cat"}', {"A": "cat"}),
        ("[1, 2)", "[1, 2)"),
        ("[a dog]", "[a dog]"),
        ("cat", "cat"),
    ],
)
def test_lists_written_as_text_are_lists_and_nothing_is_joined(text: str, value: Any) -> None:
    assert written_list(text) == value


@pytest.mark.parametrize(
    ("record", "scores"),
    [
        ({"answer": 3.0}, {"3": 1.0}),
        ({"answer": True}, {"yes": 1.0}),
        ({"answers": [None, "Red"]}, {"red": 1.0}),
        ({"answers": [{"answer": "red"}, {"answer": None}, {"answer": "Red"}]}, {"red": 0.6}),
        ({"answers": [], "answer": "red"}, {"red": 1.0}),
        ({"answers": "['red' 'blue']"}, {"red": 1.0, "blue": 1.0}),
        ({"question": "?"}, {}),
    ],
)
def test_soft_scores_are_of_the_same_answers(record: dict[str, Any], scores: dict[str, float]) -> None:
    assert row_scores(record, "row 1") == scores


FEW, MANY = ["cat", "dog", "hen"], [f"word{number}" for number in range(30)]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (FEW, "B"), (FEW, "(b)"),
        (FEW, "C."), (FEW, "2"), (FEW, "A, C"), (FEW, "AC"), (FEW, "E"), (MANY, "M"), (MANY, "28"),
        ({"A": "cat", "B": "dog"}, "B"), ("['cat' 'dog']", "B"), ("array(['cat', 'dog'], dtype=object)", "B"),
    ],
)  # fmt: skip
def test_a_letter_or_a_place_picks_an_option(options: Any, answer: str) -> None:
    assert options_meant({"options": options, "answer": answer}, answer) == ["options"]


@pytest.mark.parametrize(
    ("options", "answer"), [(FEW, "cat"), (FEW, "BE"), (FEW, "12"), (["2", "3"], "3"), (FEW, "CAB"), (MANY, "word3")]
)
def test_a_text_of_its_own_picks_none(options: Any, answer: str) -> None:
    assert options_meant({"options": options, "answer": answer}, answer) == []
