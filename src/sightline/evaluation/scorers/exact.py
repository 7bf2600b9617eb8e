"""Exact match after normalising: the scorer of rows of your own, with short gold answers."""

from __future__ import annotations

from sightline.evaluation.normalise import matches
from sightline.evaluation.scorers.verdicts import UNPARSED
from sightline.evaluation.task import Item, Verdict


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where the answer says one of the gold answers in VQA's spelling; an empty answer is unparsed."""
    said = answer.strip()
    return Verdict(float(matches(said, item.answers)), said) if said else UNPARSED
