"""What an answer is wrapped in comes off: tags, box tokens, JSON, fences, LaTeX, emphasis."""

from __future__ import annotations

import pytest

from sightline.scoring.final_answer import after_reasoning, boxed
from sightline.scoring.short_texts import readings
from tests.scoring.cases import item

WRAPPED = [
    "blue",
    "<answer>blue</answer>",
    "<think>red</think><answer> blue </answer>",
    "blue</answer>",
    "<answer>blue",
    "<answer>red</answer> no: <answer>blue</answer>",
    "<|begin_of_box|>blue<|end_of_box|>",
    r"\boxed{blue}",
    r"$\boxed{\text{blue}}$",
    r"$$\boxed{\mathbf{\text{blue}}}$$",
    r"\fbox{blue}",
    "\boxed{blue}",  # the backslash was read as an escape
    r"\( \text{blue} \)",
    r"\[\textbf{blue}\]",
    '{"answer": "blue"}',
    '{"reasoning": "not red", "answer": "blue", "confidence": 0.9}',
    '{"final_answer": "blue", "explanation": "cut off he',
    "{'answer': 'blue'}",
    '```json\n{"answer": "blue"}\n```',
    'Here it is:\n```json\n{\n  "Answer": "blue"\n}\n```',
    "```\nblue\n```",
    '{"color": "blue"}',
    '```json\n{"colour": "blue"}\n```',
    "**blue**",
    "***blue***",
    "`blue`",
    '"blue"',
    "“blue”",
    "- blue",
    "Answer: blue",
    "**Answer:** blue",
    "**Answer**: blue",
    "### Final Answer\n\nblue",
    "The final answer is: **blue**",
    'The correct answer is "blue"',
    "So, the answer to the question is blue",
    "blue<|im_end|>",
    "答案：blue",
    "Die Antwort lautet: blue",
]


@pytest.mark.parametrize("answer", WRAPPED)
def test_short_texts_are_read_without_what_they_are_wrapped_in(answer: str) -> None:
    assert list(readings(item(["green"]), answer))[-1] == "blue"


def test_money_is_no_formula() -> None:
    assert after_reasoning("It costs $5 or $6, not $7 with tax.") == "It costs $5 or $6, not $7 with tax."
    assert after_reasoning("It has $3$ dogs and $x+1$ cats.") == "It has 3 dogs and x+1 cats."


def test_braces_nest_in_a_box() -> None:
    assert boxed(r"\boxed{1} so \boxed{\frac{\text{a}}{\text{b}}}") == r"\frac{a}{b}"
    assert boxed(r"\boxed{3") is None


def test_a_field_of_json_keeps_its_latex() -> None:
    assert after_reasoning(r'{"answer": "\frac{1}{2}"}') == r"\frac{1}{2}"
    assert after_reasoning('{"answer": null}') == ""
    assert after_reasoning('{"answer": 3.5}') == "3.5"
    assert after_reasoning('{"answer": "a \\"b\\""}') == 'a "b"'
