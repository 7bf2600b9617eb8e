"""Answers in the style of models of 2024 to 2026, in ten languages, are read as a careful reader reads them.

choice_answers.json holds [question, answer, reading], each reading decided before any scorer had seen the answer; null
is what names nothing, several things, or refuses. Under "unread" are those that a careful reader reads and we do not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.scoring import multiple_choice, yes_no
from sightline.scoring.records import Item

ANSWERS: dict[str, Any] = json.loads(Path(__file__).with_name("choice_answers.json").read_text(encoding="utf-8"))


def read(name: str, answer: str) -> str | None:
    question, options = ANSWERS["questions"][name]
    asked = Item(id="1", name="case", question=question, options=tuple(options))
    return (multiple_choice if options else yes_no).read_strict(asked, answer)


@pytest.mark.parametrize("name", ANSWERS["questions"])
def test_each_answer_is_read_as_a_careful_reader_reads_it(name: str) -> None:
    answers = [(answer, meant) for question, answer, meant in ANSWERS["answers"] if question == name]
    assert answers
    differing = [
        (answer, f"meant {meant}, read {said}") for answer, meant in answers if (said := read(name, answer)) != meant
    ]
    assert differing == []


@pytest.mark.parametrize(("name", "answer", "meant"), ANSWERS["unread"])
def test_what_is_not_understood_is_unread_and_not_misread(name: str, answer: str, meant: str) -> None:
    assert read(name, answer) is None


def choice(
    answer: str, options: tuple[str, ...] = ("north", "east", "south", "west"), question: str = "?"
) -> str | None:
    return multiple_choice.read_strict(Item(id="1", name="case", question=question, options=options), answer)


def yes_or_no(answer: str, question: str = "Is there a boat on the lake?") -> str | None:
    return yes_no.read_strict(Item(id="1", name="case", question=question), answer)


@pytest.mark.parametrize(
    ("question", "options", "answer"),
    [
        (
            "Are there fewer cones than cubes?",
            ("Yes", "No"),
            "We compare the cones with the cubes.\n\nIf there are fewer cones than cubes, the answer is (A) Yes. "
            "Otherwise, the answer is (B) No.\n\nAs no picture is given, we cannot determine the answer.",
        ),
        (
            "Is the number of cones less than the number of cubes?",
            ("Yes", "No"),
            "If the number of cones is less, then the answer is (A) Yes. If the number of cones is not less, then the "
            "answer is (B) No.\n\nWithout the counts, the answer cannot be determined.",
        ),
        (
            "Find the angle at the centre.",
            ("20°", "40°", "80°"),
            "The angle at the centre is twice the one at the rim.\n\nSo it is 2 * 80° = 160°\n\nHowever, this is not "
            "an option in the choices provided.",
        ),
    ],
)
def test_conditions_and_answers_beyond_the_options_choose_nothing(question, options, answer) -> None:
    assert choice(answer, options, question) is None


def test_what_a_model_goes_on_to_ask_itself_is_no_answer() -> None:
    assert choice("C\nQuestion: Which way is the exit?\nAnswer: A") == "C"
    assert choice("south\nQuestion: Which way is the exit? Answer: west") == "C"
    assert yes_or_no("No\nQuestion: Is there a duck?\nAnswer: Yes") == "no"
    assert choice("C\n\n问题：出口在哪里？\n答案：A") == "C"


@pytest.mark.parametrize(
    "answer",
    [
        "(A) north and (C) south both fit.",
        "It is not possible to confidently select either (A) the first view or (B) the second view.",
        "None of the choices A, B, C, or D are correct.",
        "A B C D",
        "(E) up\n(F) down",
        "(C) north",  # letter and text disagree
        "The needle points north. The flag points east.",
    ],
)
def test_several_or_contradicting_options_choose_nothing(answer: str) -> None:
    assert choice(answer) is None


def test_a_word_that_only_looks_like_an_option_is_none() -> None:
    letters = ("A", "B", "C", "D")
    assert choice("The white piece is a cube.", letters) is None
    assert choice("I'm sorry, I can't read the note.", ("II", "I", "IV")) is None
    assert choice("The post stands on the right side of the gate.\n(A) left of it\n(B) right of it") is None


def test_a_label_on_the_last_line_is_the_answer() -> None:
    reasons = "(A) The first sign points up.\n(B) The second sign points right.\n\n"
    assert choice(reasons + "Therefore, the sign that matches is:\n(B) the second sign") == "B"
    assert choice("It's difficult to tell the exact bearing. Judging by the shadow:\n\n(D) west") == "D"


def test_things_that_are_not_there_are_denied_and_other_things_say_nothing() -> None:
    assert yes_or_no("The lake does not have a boat on it.") == "no"
    assert yes_or_no("I see a boat on the lake, not a raft.") == "yes"
    assert yes_or_no("There is no raft on the shore.") is None
    assert yes_or_no("There may be a boat on the lake.") is None
    assert yes_or_no("No picture of the lake was given.") is None


def test_words_that_answer_alone_are_others_inside_a_sentence() -> None:
    assert yes_or_no("Correct.") == "yes"
    assert yes_or_no("The pier is on the right.") is None
    assert yes_or_no("That would be the wrong lake.") is None


def test_numbers_keep_their_signs_and_bounds_are_no_numbers() -> None:
    values = ("6", "12", "-12", "0.12")
    assert choice("The result is −12.", values) == "C"
    assert choice("12", values) == "B"
    assert choice("There are at least 6.", values) is None
    assert choice("12 or -12", values) is None


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("B — sorry, I meant C", "C"),
        ("B, I mean C.", "C"),
        ("B. No, C.", "C"),
        ("B... wait, actually C.", "C"),
        ("The answer is B... hmm, actually C", "C"),
        ("B (actually C)", "C"),
        ("B, or rather C.", "C"),
        ("I'd say B, no, C.", "C"),
        ("Answer: B. Sorry, C.", "C"),
        ("B. Nein, C.", "C"),
        ("B. Non, C.", "C"),
        ("B, mejor dicho, C.", "C"),
        ("It is B, I mean, the shore is on the right.", "B"),
        ("B, actually: A is west of it.", "B"),
        ("B. No, it cannot be C.", "B"),
    ],
)
def test_what_an_answer_takes_back_within_a_sentence_is_not_chosen(answer: str, meant: str) -> None:
    assert choice(answer) == meant


@pytest.mark.parametrize(
    "answer",
    [
        r"\boxed{A or B}",
        r"\boxed{\text{A and B}}",
        r"\boxed{(A), (C), (D)}",
        r"so \boxed{A, B, C, D}",
        "Anything but east.",
    ],
)
def test_boxes_that_list_letters_and_all_but_one_choose_nothing(answer: str) -> None:
    assert choice(answer) is None


def test_marks_by_line_and_tags_in_tags_are_read() -> None:
    assert choice("A ❌\nB ✅\nC ❌\nD ❌") == "B"
    assert choice("<p>The answer is <strong>B</strong>.</p>") == "B"
    assert choice(r"\boxed{A} Wait. \boxed{B}") == "B"
