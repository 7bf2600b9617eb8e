"""OCRBench: an answer is right where it contains a gold text.

Sources, described: Yuliang-Liu/MultimodalOCR OCRBench/example.py at 794c36d; lmms-eval 0.7.3 tasks/ocrbench.
"""

from __future__ import annotations

from sightline.scoring.final_answer import after_reasoning, declines
from sightline.scoring.records import Item, Verdict
from sightline.scoring.verdicts import UNPARSED

FORMULAS = "HME100k"
"""The source data set (`facts["dataset"]`) whose golds are LaTeX: case counts, blanks do not."""

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def score_official(item: Item, answer: str) -> Verdict:
    """Right where any gold is part of the answer; an empty gold is part of everything."""
    said = _spelled(item, answer)
    return Verdict(float(any(_spelled(item, gold) in said for gold in item.answers)), said)


def score_lmms_eval(item: Item, answer: str) -> Verdict:
    """The same with full-width letters, digits and marks folded to ASCII, formulas aside."""
    said = _folded(item, answer)
    return Verdict(float(any(_folded(item, gold) in said for gold in item.answers)), said)


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where the answer behind its reasoning contains a gold that is not empty; refusals are unparsed."""
    text = after_reasoning(answer)
    said = "" if declines(text) else _spelled(item, text)
    golds = [gold for gold in (_spelled(item, gold) for gold in item.answers) if gold]
    return Verdict(float(any(gold in said for gold in golds)), said) if said else UNPARSED


def _spelled(item: Item, text: str) -> str:
    flat = text.strip().replace("\n", " ")
    return flat.replace(" ", "") if item.facts.get("dataset") == FORMULAS else flat.lower()


def _folded(item: Item, text: str) -> str:
    spelled = _spelled(item, text)
    return spelled if item.facts.get("dataset") == FORMULAS else spelled.translate(_FULL_WIDTH)
