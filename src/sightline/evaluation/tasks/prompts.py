"""The prompts that several benchmarks share, under the name of the harness or model they come from."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_uppercase

from sightline.evaluation.task import Item

SHORT_ANSWER = "Answer the question using a single word or phrase."
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
YES_NO = " Please answer yes or no."

CHOICE_EXAMPLE = Item("example", "example", "What is shown?", options=("a cat", "a dog"))
YES_NO_EXAMPLE = Item("example", "example", "Is there a dog in the image?")


def as_asked(item: Item) -> str:
    """The question alone."""
    return item.question


def short_answer(item: Item) -> str:
    """The question and a line that asks for a word or phrase: LLaVA-1.5, lmms-eval, VLMEvalKit."""
    return f"{item.question}\n{SHORT_ANSWER}"


def option_lines(options: Iterable[str], form: str = "{}. {}") -> str:
    """One line per option with its letter: `A. cat`, or `(A) cat` with the form "({}) {}"."""
    return "\n".join(form.format(*pair) for pair in zip(ascii_uppercase, options, strict=False))


def letter_answer(item: Item) -> str:
    """Question, option lines, and a line that asks for the letter: LLaVA-1.5, lmms-eval."""
    return f"{item.question}\n{option_lines(item.options)}\n{LETTER_ANSWER}"


def hinted_letter_answer(item: Item) -> str:
    """`letter_answer` with the hint as first line where there is one: LLaVA-1.5 on MMBench."""
    return "\n".join(part for part in (item.facts.get("hint", ""), letter_answer(item)) if part)


def vlmevalkit_choice(item: Item) -> str:
    """VLMEvalKit's multiple choice; its last line ends in a blank and a line break."""
    return qwen2_vl_choice(item) + (" \n" if item.options else "\n")


def qwen2_vl_choice(item: Item) -> str:
    """Qwen2-VL's multiple choice: VLMEvalKit's without the blank and the line break at the end."""
    hint = item.facts.get("hint", "")
    lines = [f"Hint: {hint}"] if hint else []
    lines.append(f"Question: {item.question}")
    if item.options:
        lines += ["Options:", option_lines(item.options), "Please select the correct answer from the options above."]
    return "\n".join(lines)


def qwen2_vl_short_answer(item: Item) -> str:
    """Qwen2-VL's open question."""
    return f"{item.question}\nPlease try to answer the question with short words or phrases if possible."


def without_yes_no(item: Item) -> str:
    """The question without the request for yes or no that some sources put into it."""
    return item.question.removesuffix(YES_NO)


def yes_no(item: Item) -> str:
    """The question, asking for yes or no: Qwen2-VL, and VLMEvalKit's files."""
    return without_yes_no(item) + YES_NO


def yes_no_short_answer(item: Item) -> str:
    """The question, asking for a word or phrase instead of yes or no: LLaVA-1.5, lmms-eval."""
    return f"{without_yes_no(item)}\n{SHORT_ANSWER}"


def pictures_first(item: Item, prompt: str) -> str:
    """The prompt with all pictures before it; marks in its text stay words, as a picture stands at its first mark."""
    return "".join(f"<image {number}>" for number in range(1, len(item.pictures) + 1)) + prompt
