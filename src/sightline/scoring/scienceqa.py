"""ScienceQA's option letters as LLaVA's evaluation and lmms-eval read them.

Sources, described: LLaVA llava/eval/eval_science_qa.py at c121f04; lmms-eval 0.7.3 tasks/scienceqa/utils.py.
"""

from __future__ import annotations

import re

from sightline.scoring.records import Item

_LLAVA_LETTERS = "ABCDE"
# The last dot is any character, as in LLaVA's pattern: the letter needs something behind it.
_ANSWER_IS = re.compile(r"The answer is ([A-Z]).")


def read_llava(item: Item, answer: str) -> str | None:
    """The answer if it is a letter of A to E, its first letter before ". ", else that of "The answer is X."."""
    if len(answer) == 1 and answer in _LLAVA_LETTERS:
        return answer
    if len(answer) >= 3 and answer[0] in _LLAVA_LETTERS and answer[1:3] == ". ":
        return answer[0]
    said = _ANSWER_IS.findall(answer)
    return said[0] if len(said) == 1 else None


def read_lmms_eval(item: Item, answer: str) -> str | None:
    """One letter of either case, or a capital before a period at the start."""
    text = answer.strip()
    if len(text) == 1 and text.isalpha():
        return text.upper()
    return text[0] if len(text) >= 2 and text[0].isupper() and text[1] == "." else None
