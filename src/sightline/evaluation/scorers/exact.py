"""Exact match after normalising: the scorer of rows of your own, with short gold answers."""

from __future__ import annotations

from sightline.evaluation.scorers.short_texts import judge_short, same_text
from sightline.evaluation.task import Item, Verdict


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where the answer says one of the gold answers, in VQA's spelling or as a number."""
    return judge_short(item, answer, lambda said: float(any(same_text(said, gold) for gold in item.answers)))
