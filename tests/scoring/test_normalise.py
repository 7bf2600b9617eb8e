"""Answers are normalised as the official VQA evaluation normalises them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.scoring.normalise import matches, normalise


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The red car.", "red car"),
        ("Two dogs", "2 dogs"),
        ("None", "0"),
        ("1,000,000 people", "1000000 people"),
        ("black-and-white", "black and white"),
        ("blue (dark)", "blue dark"),
        ("3.14", "3.14"),
        ("dont", "don't"),
        ("couldnt've", "couldn't've"),
        (" dog\ncat ", "dog cat"),
    ],
)
def test_answers_get_one_spelling(answer: str, expected: str) -> None:
    assert normalise(answer) == expected


def test_normalising_twice_changes_nothing_more() -> None:
    for answer in ("The red car.", "Two dogs", "12 oclock", "black-and-white"):
        assert normalise(normalise(answer)) == normalise(answer)


def test_an_answer_of_nothing_but_articles_or_marks_keeps_its_text() -> None:
    assert matches("A", ("a",))
    assert not matches("the", ("A",))
    assert not matches("", ("a",))
    assert not matches("?", ("a",))


def test_any_of_several_answers_counts() -> None:
    assert matches("Two", ("3", "2"))
    assert not matches("four", ("3", "2"))


def test_the_official_cases_come_out_as_officially(shared: Path) -> None:
    data = json.loads((shared / "conformance" / "vqa_normalize.json").read_text())
    assert len(data["cases"]) > 50
    for case in data["cases"]:
        assert normalise(case["input"]) == case["expected_vqa_official"], case["id"]
