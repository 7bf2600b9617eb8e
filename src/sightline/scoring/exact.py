"""Exact match after normalising: the scorer of rows of your own, with short gold answers."""

from __future__ import annotations

from sightline.scoring.asked_options import with_asked_options
from sightline.scoring.multiple_choice import read_strict
from sightline.scoring.records import Item, Verdict
from sightline.scoring.short_texts import judge_short, same_text
from sightline.scoring.verdicts import matching

_score_choice = matching(read_strict)


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where the answer says one of the gold answers, in VQA's spelling or as a number.

    Where the question itself lists options and the gold answer is one of them, the option that the answer chooses.
    """
    asked = with_asked_options(item)
    if asked.options:
        return _score_choice(asked, answer)
    return judge_short(item, answer, lambda said: float(any(same_text(said, gold) for gold in item.answers)))
