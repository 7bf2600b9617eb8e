"""Relaxed accuracy of ChartQA: numbers may be 5% off, other answers must be the same.

Sources: Masry et al., 2022, "ChartQA"; VLMEvalKit dataset/utils/vqa_eval.py at e8e78f0, described (after pix2struct).
"""

from __future__ import annotations

from sightline.scoring.numbers import whole_number
from sightline.scoring.records import Item, Verdict
from sightline.scoring.short_texts import judge_short, same_text

TOLERANCE = 0.05


def score_vlmevalkit(item: Item, answer: str) -> Verdict:
    """Right within 5% of a gold number, per cent being hundredths, or equal as lower-case text.

    A gold of zero has no 5%, and thousands commas are no part of a number: both are compared as texts.
    """
    return Verdict(float(any(_relaxed(answer, gold) for gold in item.answers)), answer)


def score_strict(item: Item, answer: str) -> Verdict:
    """The same for what the answer says, with numbers in any spelling: "$1,500.", "3/4", "2.5 million"."""
    return judge_short(item, answer, lambda said: float(any(_agree(said, gold) for gold in item.answers)))


def _agree(said: str, gold: str) -> bool:
    number, target = whole_number(said), whole_number(gold)
    if number is None or target is None or not target.value:
        return same_text(said, gold)
    return any(abs(one - two) <= TOLERANCE * abs(two) for one in number.values() for two in target.values() if two)


def _relaxed(said: str, gold: str) -> bool:
    number, target = _number(said), _number(gold)
    if number is not None and target:
        return abs(number - target) / abs(target) <= TOLERANCE
    return said.lower() == gold.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
