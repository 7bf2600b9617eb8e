"""Compare what an open answer comes to with gold numbers and texts: `strict` of MMMU's open questions."""

from __future__ import annotations

import re

from sightline.evaluation.normalise import normalise
from sightline.evaluation.scorers.final_answer import after_reasoning, boxed, refuses, sentences
from sightline.evaluation.scorers.numbers import read_number
from sightline.evaluation.scorers.verdicts import UNPARSED
from sightline.evaluation.task import Item, Verdict

_ANSWER_IS = re.compile(r"\b(?:answer|result)\b(?:[^.\n]{0,40}?\b(?:is|are|be)\b|\s*[:=])[\s*:]*", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|no|neither|nor|never)\b|n['’]t\b", re.IGNORECASE)


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where the answer's number equals a gold number to two places, or its final statement has a gold text."""
    text = after_reasoning(answer)
    statement = _statement(text)
    if not statement or refuses(statement):
        return UNPARSED
    said = statement
    for gold in item.answers:
        target = _number(gold)
        if target is not None:
            said = read_number(text) or said
            right = _number(said) is not None and round(_number(said) or 0.0, 2) == round(target, 2)
        else:
            right = f" {normalise(gold)} " in f" {normalise(statement)} " and not _DENIED.search(statement)
        if right:
            return Verdict(1.0, said)
    return Verdict(0.0, said)


def _statement(text: str) -> str:
    """The box, what the last "answer is" says, or the last sentence."""
    if box := boxed(text):
        return box
    cues = list(_ANSWER_IS.finditer(text))
    said = sentences(text[cues[-1].end() :]) if cues else []
    return said[0] if said else (sentences(text) or [""])[-1]


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "").strip("$% "))
    except ValueError:
        return None
