"""Prompts and file names that several benchmarks take from another tool or model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_uppercase

from sightline.evaluation.task import Source
from sightline.scoring.records import Item

SHORT_ANSWER = "Answer the question using a single word or phrase."
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
LETTER_ANSWER_CN = "请直接回答选项字母。"  # LLaVA-1.5 and Qwen2-VL
YES_NO = " Please answer yes or no."
_SELECT = "Please select the correct answer from the options above."
_CHINESE = re.compile("[\u4e00-\u9fff]")

CHOICE_EXAMPLE = Item("example", "example", "What is shown?", options=("a cat", "a dog"))
YES_NO_EXAMPLE = Item("example", "example", "Is there a dog in the image?")


def short_answer(item: Item) -> str:
    """The question and a line that asks for a word or phrase: LLaVA-1.5, lmms-eval, VLMEvalKit."""
    return f"{item.question}\n{SHORT_ANSWER}"


def option_lines(options: Iterable[str], form: str = "{}. {}") -> str:
    """One line per option with its letter: `A. cat`, or `(A) cat` with the form "({}) {}"."""
    return "\n".join(form.format(*pair) for pair in zip(ascii_uppercase, options, strict=False))


def letter_answer(item: Item) -> str:
    """Question, option lines, and a line that asks for the letter: LLaVA-1.5, lmms-eval."""
    return f"{item.question}\n{option_lines(item.options)}\n{LETTER_ANSWER}"


def hinted_letter_answer(item: Item, ending: str = LETTER_ANSWER) -> str:
    """Question, option lines and `ending`, with the hint as first line where there is one: LLaVA-1.5 on MMBench."""
    lines = (item.facts.get("hint", ""), item.question, option_lines(item.options), ending)
    return "\n".join(line for line in lines if line)


def vlmevalkit_choice(item: Item) -> str:
    """VLMEvalKit's multiple choice, in English whatever the question is; its last line ends in a blank and a break."""
    return selected_choice(item) + (" \n" if item.options else "\n")


def qwen2_vl_choice(item: Item) -> str:
    """Qwen2-VL's multiple choice: VLMEvalKit's, ending in Chinese where the question has Chinese characters."""
    prompt = selected_choice(item)
    chinese = _CHINESE.search(prompt) is not None
    return prompt.removesuffix(_SELECT) + LETTER_ANSWER_CN if chinese and item.options else prompt


def selected_choice(item: Item) -> str:
    """Hint, question and options, and a line that asks to select one of them."""
    hint = item.facts.get("hint", "")
    lines = [f"Hint: {hint}"] if hint else []
    lines.append(f"Question: {item.question}")
    if item.options:
        lines += ["Options:", option_lines(item.options), _SELECT]
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


_VLMEVALKIT = "https://opencompass.openxlab.space/utils/"
_LMMS_EVAL = ("lmms-lab-encoder", "lmms-lab")  # moved to the first on 2026-07-30; who cached the second still has it


def vlmevalkit_file(path: str, md5: str = "") -> Source:
    """A TSV file of VLMEvalKit, by its path at the publisher ("VLMEval/MMMU_DEV_VAL.tsv")."""
    return Source("tsv", path.rpartition("/")[2], md5=md5, address=_VLMEVALKIT + path)


def lmms_eval_datasets(name: str, split: str, config: str = "") -> tuple[Source, ...]:
    """A Hub dataset of lmms-eval under its present and its former owner. No commit of theirs is known to pin."""
    return tuple(Source("hub", f"{owner}/{name}", config, split) for owner in _LMMS_EVAL)
