"""What an answer is wrapped in comes off: tags, box tokens, JSON, fences, LaTeX, emphasis."""

from __future__ import annotations

import pytest

from sightline.evaluation.tasks.registry import load_task
from sightline.scoring.final_answer import after_reasoning, boxed, without_lmms_eval_tags, without_thought
from sightline.scoring.records import Item
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


THOUGHTS = [
    "<think>Perhaps {wrong}.</think>\n\n{right}",
    "Perhaps {wrong}.\n</think>\n{right}",
    "<thinking>{wrong}?</thinking>{right}",
    "<thought>{wrong}</thought>{right}",
    "<analysis>{wrong} at first.</analysis>{right}",
    "<REASONING>{wrong}</REASONING>\n<CONCLUSION>{right}</CONCLUSION>",
    "<seed:think>{wrong}</seed:think>{right}",
    "◁think▷{wrong}◁/think▷{right}",
    "[THINK]{wrong}[/THINK]{right}",
    "<|START_THINKING|>{wrong}<|END_THINKING|><|START_RESPONSE|>{right}<|END_RESPONSE|>",
    "<|channel>thought\n{wrong}<channel|>{right}<turn|>",
    "<|channel|>analysis<|message|>{wrong}<|end|><|start|>assistant<|channel|>final<|message|>{right}<|return|>",
    "analysisThe user asks. {wrong}?assistantfinal{right}",
    "Here is my thought process: {wrong}.\n\nHere is my response: {right}",
    "Here are my reasoning steps:\n{wrong}\n[BEGIN FINAL RESPONSE]\n{right}\n[END FINAL RESPONSE]",
    "<think>{wrong}</think>{right}<think>{wrong}, after all?</think>",
]
NEVER_ENDED = [
    "<think>{right}, or is it",
    "<Thinking>\n{right}",
    "◁think▷ It seems {right}",
    "[THINK]{right}",
    "<|channel|>analysis<|message|>{right}",
    "analysisThe answer may be {right}",
    "<think>{right}</think>",
]
# Task, an item, what is right there and what is wrong.
ITEMS = [
    ("custom", Item("1", "row", "What colour?", answers=("blue",)), "blue", "red"),
    ("custom", Item("1", "row", "Which?", options=("cat", "dog"), answers=("B",)), "B", "A"),
    ("easy_vqa", Item("1", "row", "What shape?", answers=("circle",)), "circle", "triangle"),
    ("vqa_rad", Item("1", "row", "Is it enlarged?", answers=("yes",)), "yes", "no"),
    ("vqav2_val", Item("1", "row", "What colour?", answers=("blue",) * 10), "blue", "red"),
    ("textvqa_val", Item("1", "row", "What word?", answers=("stop",) * 10), "stop", "halt"),
    ("docvqa_val", Item("1", "row", "What date?", answers=("12/08/1999",)), "12/08/1999", "1 May"),
    ("ocrbench", Item("1", "row", "What is written?", answers=("stop",)), "stop", "halt"),
    ("pope", Item("1", "row", "Is there a dog?", answers=("yes",)), "Yes", "No"),
    ("soft_answers", Item("1", "row", "What?", answers=("cat",), facts={"answer_scores": {"cat": 1.0}}), "cat", "dog"),
    ("mmmu_val", Item("1", "row", "How much?", answers=("24",)), "24", "42"),
    (
        "mathvista_testmini",
        Item("1", "row", "How many?", answers=("3",), facts={"answer_type": "integer", "precision": None}),
        "3",
        "4",
    ),
    ("coco_caption_val2014", Item("1", "row", "", answers=("a dog runs",)), "a dog runs", "two cats"),
]


@pytest.mark.parametrize(("name", "item", "right", "wrong"), ITEMS, ids=[f"{one[0]}-{one[2]}" for one in ITEMS])
def test_strict_scores_what_stands_behind_the_thought(name: str, item: Item, right: str, wrong: str) -> None:
    score = load_task(name).scorers["strict"]
    for thought in THOUGHTS:
        verdict = score(item, thought.format(right=right, wrong=wrong))
        assert verdict.parsed is not None and verdict.score == 1.0, (thought, verdict)
    for thought in NEVER_ENDED:
        assert score(item, thought.format(right=right)).parsed is None, thought


@pytest.mark.parametrize(
    ("answer", "scored"),
    [
        ("<think>not red</think> blue ", "blue"),
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("<analysis>a</analysis>b", "b"),
        ("red</think> blue</think> green", "green"),
        ("<think>a</think>b</think>c", "c"),
        ("<think>never ended", "<think>never ended"),
        ("</think>a<think>b", "</think>a<think>b"),
        ("<THINK>a</THINK>b", "<THINK>a</THINK>b"),
        ("<thinking>a</thinking>b", "<thinking>a</thinking>b"),
        ("<answer>b</answer>", "<answer>b</answer>"),
    ],
)
def test_lmms_eval_takes_its_two_tags_out(answer: str, scored: str) -> None:
    assert without_lmms_eval_tags(answer) == scored


@pytest.mark.parametrize(
    ("name", "item", "right"),
    [(name, item, right) for name, item, right, _ in ITEMS if "lmms-eval" in load_task(name).scorers],
)
def test_every_task_takes_them_out_under_lmms_eval(name: str, item: Item, right: str) -> None:
    score = load_task(name).scorers["lmms-eval"]
    plain = score(item, right)
    for thought in ("<think>Not so.</think> {}", "<analysis>No.</analysis>{}", "No, not so.</think>\n{}"):
        assert score(item, thought.format(right)) == plain
    assert score(item, f"<think>{right}").parsed != plain.parsed


def test_ai2d_takes_them_out_behind_lmms_evals_filter() -> None:
    """It looks for "B." at the start of the raw answer, and only then takes thought away."""
    score, item = (
        load_task("ai2d_masked").scorers["lmms-eval"],
        Item("1", "row", "?", options=("x", "y"), answers=("B",)),
    )
    assert score(item, "<think>A</think>B").score == 1.0
    assert score(item, "<think>A</think>B. y").parsed is None


def test_vlmevalkit_takes_nothing_out() -> None:
    score, item = load_task("pope").scorers["vlmevalkit"], Item("1", "row", "?", answers=("yes",))
    assert score(item, "<think>no cat</think>yes").parsed is None


def test_words_about_thinking_are_no_thought() -> None:
    for said in ("I think it is blue.", "analysis of variance", "The final channel is 4.", "[x] blue"):
        assert without_thought(said) == said
