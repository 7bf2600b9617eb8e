"""`strict` reads the option that an answer chooses, in today's dress, and nothing where it chooses none or several."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sightline.scoring.multiple_choice import read_strict
from tests.scoring.cases import item

CITIES = item(["B"], ["Paris", "London", "Berlin", "Madrid"])


@pytest.mark.parametrize(
    "answer",
    [
        "B",
        "b",
        "B.",
        "(B)",
        "(b)",
        "B)",
        "**B**",
        "`B`",
        '"B"',
        "B. London",
        "B: London",
        "(B) London",
        "**B. London**",
        "**B) London**",
        "B - London",
        "B\n\nLondon is in the picture.",
        "Option B",
        "Option (B): London",
        "Answer: B",
        "**Answer:** B",
        "Answer: **B**",
        "**Final Answer: B**",
        "### Answer\nB",
        "The answer is B",
        "The answer is b.",
        "The answer is: **B**.",
        "The correct answer is (B).",
        "The correct answer is option B.",
        "The correct option is B: London.",
        "The best choice is **B**",
        "My answer is B, not D",
        "The correct answer is B because A is wrong.",
        "Therefore, the correct option letter is B.",
        "I would choose option B.",
        'So I will select "B".',
        "Answer: B - London.",
        "The right choice would be (B)",
        "B is the correct answer.",
        "Option B is correct because A and C are wrong.",
        "Option A is incorrect. Option C is wrong. Option B fits.",
        "$\\boxed{B}$",
        "\\boxed{\\text{B}}",
        "So we get \\boxed{\\textbf{(B) }London}.",
        "The final answer is $\\boxed{\\text{London}}$",
        "<answer>B</answer>",
        "<think>It may be A. Or C.</think>B",
        "<think>A?</think>\n\nThe answer is **B**.",
        "Let me think. A looks plausible. However, B fits better.\n\nB",
        "London",
        "london.",
        "It is London.",
        "The city shown is London.",
        "The answer is London.",
        "Answer: London",
        "Of Paris and London, it is London.",
        "It is not Paris but London.",
        "The answer cannot be A. The answer is B.",
        "Let me say it again.\nQuestion: Which city is it?\nAnswer: B",
        "(B) London\n\nQuestion: Which river is it?\nChoices:\n(A) Seine\n(B) Thames",
        "The answer is A. No, wait: the answer is B.",
        "答案是B",
        "答案：B",
        "答案选B。",
        "所以选B",
    ],
)
def test_the_chosen_option_is_read(answer: str) -> None:
    assert read_strict(CITIES, answer) == "B"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "  ",
        "?",
        "E",
        "(E)",
        "The answer is E.",
        "AB",
        "A or B",
        "A and B",
        "A, B",
        "(A) or (B)",
        "A/B",
        "The answer is A or B.",
        "The answer is either A or B.",
        "Paris or London",
        "I do not know.",
        "None of the above",
        "A man is standing next to a tree.",
        "A dog.",
        "The answer is a dog.",
        "I know too little to select option A or B.",
        "The answer is E. London is the largest.",
        "The answers would be (B) London and (C) Berlin.",
        "I cannot tell whether it is London.",
        "The options are (A) Paris (B) London (C) Berlin (D) Madrid.",
        "Rome",
        "Is it London?",
        "It is not London.",
        "The answer cannot be B.",
        "The answer isn't (B).",
        "<think>So it is B, I guess, but",
    ],
)
def test_nothing_is_read_where_none_or_several_are_named(answer: str) -> None:
    assert read_strict(CITIES, answer) is None


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        (["30°", "45°", "60°"], "The angle is 45 degrees.", "B"),
        (["30°", "45°", "60°"], "So $x = 45^\\circ$.", "B"),
        (["3/11", "8/11", "6/11"], "It is \\frac{8}{11}.", "B"),
        (["2", "2√{3}", "3"], "The length is 2\\sqrt{3}.", "B"),
        (["10m", "20m", "40m"], "The distance is 20 meters.", "B"),
        (["1", "12", "2"], "12", "B"),
        (["3", "8", "11"], "3 + 5 = 8.0", "B"),
        (["virus", "retrovirus", "virus particle"], "It is a retrovirus.", "B"),
        (["a car", "a red car", "no car"], "a red car", "B"),
        (["frogs", "wolf", "deer"], "It is the frog, as the wolf eats deer.", "A"),
        (["Yes", "No"], "No, it is not.", "B"),
        (["yes", "no"], "Yes. It is.", "A"),
        (["grass", "It cannot be determined", "tree"], "It cannot be determined from the figure.", "B"),
        (["decrease", "increase"], "If birds increase, insects will decrease.", "A"),
        (["turn", "flip", "slide"], "The letter has been flipped.", "B"),
        (["It would grow.", "It would also shrink."], "The lake would also shrink.", "B"),
        ([], "B", None),
    ],
)
def test_options_are_found_by_their_text(options: list[str], answer: str, letter: str | None) -> None:
    assert read_strict(item(options=options), answer) == letter


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("The nest is larger than a fist.", "A"),
        ("In the picture, the nest is not larger than the fist.", "B"),
        ("The nest is smaller than a fist.", "B"),
        ("A fist is smaller than the nest.", "A"),
        ("The nest is as wide as, but not smaller than the fist.", None),
        ("The nest is equal to a fist.", "B"),
        ('The statement "the nest is larger than a fist" is false.', "B"),
        ("The nest is softer than a fist.", None),
        ("It is a nest.", None),
        ("I cannot see whether the nest is larger than a fist.", None),
    ],
)
def test_yes_and_no_are_read_from_what_is_affirmed_or_denied(answer: str, letter: str | None) -> None:
    asked = replace(item(options=["Yes", "No"]), question="Is this nest larger than a fist?")
    assert read_strict(asked, answer) == letter
