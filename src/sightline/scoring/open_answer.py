"""Compare what an open answer comes to with gold numbers and texts: `strict` of MMMU's open questions."""

from __future__ import annotations

import re

from sightline.scoring.final_answer import after_reasoning, refuses, sentences, without_markup
from sightline.scoring.normalise import normalise
from sightline.scoring.numbers import Number, read_number, whole_number
from sightline.scoring.records import Item, Verdict
from sightline.scoring.short_texts import final_phrase
from sightline.scoring.verdicts import UNPARSED

_DENIED = re.compile(r"\b(?:not|no|neither|nor|never)\b|n['’]t\b", re.IGNORECASE)


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where the answer's number equals a gold number to two places, or its final statement has a gold text."""
    text = without_markup(after_reasoning(answer))
    statement = final_phrase(text) or (sentences(text) or [""])[-1]
    if not statement or refuses(statement):
        return UNPARSED
    said = statement
    for gold in item.answers:
        target = whole_number(gold)
        if target is not None:
            number = read_number(text)
            said = number.written if number else said
            right = number is not None and _to_two_places(number) & _to_two_places(target) != set()
        else:
            right = f" {normalise(gold)} " in f" {normalise(statement)} " and not _DENIED.search(statement)
        if right:
            return Verdict(1.0, said)
    return Verdict(0.0, said)


def _to_two_places(number: Number) -> set[float]:
    return {round(float(value), 2) for value in number.values()}
