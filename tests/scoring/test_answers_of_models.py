"""Answers in the style of models of 2024 to 2026, each with a careful human's verdict, under `strict`.

The verdicts of `answers_of_models.jsonl` were written down before the scorers read the answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.evaluation.profiles import CAPTIONS, CHARTQA, DOCVQA, EXACT, MATHVISTA, MMMU, OCRBENCH, VQAV2
from sightline.scoring.number_words import spelled
from sightline.scoring.numbers import read_number, same_number
from sightline.scoring.records import Item

ANSWERS = Path(__file__).with_name("answers_of_models.jsonl")
SCORINGS = {
    "number": MATHVISTA,
    "open": MMMU,
    "text": EXACT,
    "anls": DOCVQA,
    "vqa": VQAV2,
    "chart": CHARTQA,
    "ocr": OCRBENCH,
    "caption": CAPTIONS,
}
CASES = [json.loads(line) for line in ANSWERS.read_text(encoding="utf-8").splitlines()]


def asked(case: dict[str, Any]) -> Item:
    """The item of a case; ten people gave the one answer of a VQA question, a gold with decimals asks for a float."""
    golds = case["gold"] * 10 if case["kind"] == "vqa" and len(case["gold"]) == 1 else case["gold"]
    decimals = len(golds[0].partition(".")[2])
    facts = {"answer_type": "float" if decimals else "integer", "precision": decimals or None}
    return Item("1", "case", case["question"], answers=tuple(golds), facts=facts if case["kind"] == "number" else {})


@pytest.mark.parametrize("kind", SCORINGS)
def test_strict_agrees_with_a_careful_human(kind: str) -> None:
    for case in (case for case in CASES if case["kind"] == kind):
        verdict = SCORINGS[kind].scorers["strict"](asked(case), case["answer"])
        read = "unparsed" if verdict.parsed is None else "right" if verdict.score >= 0.99 else "wrong"
        assert read == case["verdict"], (case, verdict)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"\frac{3}{4}", "3/4"),
        (r"\dfrac12", "1/2"),
        (r"3\frac{1}{2}", "7/2"),
        ("1 1/2", "3/2"),
        ("1½", "3/2"),
        ("12 345", "12345"),
        ("12\u202f345", "12345"),
        ("1'234'567", "1234567"),
        ("12,34,567", "1234567"),
        ("1.234,5", "1234.5"),
        ("1,234.5", "1234.5"),
        ("0,125", "0.125"),
        ("3,5", "3.5"),
        ("(3,5)", "(3,5)"),
        ("1,2,3", "1,2,3"),
        ("2 × 10^3", "2000"),
        (r"2 \times 10^{-2}", "0.02"),
        ("2e3", "2000"),
        ("10³", "1000"),
        ("−5", "-5"),
        ("minus fifty-five", "-55"),
        ("３．５", "3.5"),
        ("一百零五", "105"),
        ("x^2", "x^2"),
        ("10 200 300", "10 200 300"),
    ],
)
def test_numbers_have_one_spelling(text: str, written: str) -> None:
    assert spelled(text) == written


@pytest.mark.parametrize(
    "text",
    [
        "13 to 22",
        "3 or 4",
        "from 3 up to 4",
        "3–4",
        "between 5 and 6",
        "2:3",
        "10:30",
        "12/08/1999",
        "2024-05-01",
        "2 + 1",
        "3 x 4",
        "2√3",
        "12π",
        "at least 3",
        "fewer than 3",
        "x > 3",
        "3 brown and 4 black",
        "Left: 3, right: 4",
        "A) 5\nB) 7",
        "One can count them.",
        "It is not 7.",
        "Is it 7?",
    ],
)
def test_what_is_no_single_number_is_unparsed(text: str) -> None:
    assert read_number(text) is None


def test_numbers_are_the_same_in_any_dress() -> None:
    for one, two in [
        ("3.0", "3"),
        ("12%", "12 %"),
        ("$1,200", "1200"),
        ("75%", "0.75"),
        ("1/2", "0.5"),
        ("2k", "2000"),
    ]:
        assert same_number(one, two), (one, two)
    for one, two in [("07", "7"), ("$5", "€5"), ("3 or 4", "3"), ("3-1", "3-1"), ("12%", "0.13")]:
        assert not same_number(one, two), (one, two)
