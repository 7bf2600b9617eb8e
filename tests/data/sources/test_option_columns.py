"""Answers that only name the letter or the place of an option are known by it, however many options there are."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.data.sources.answers import options_meant

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
