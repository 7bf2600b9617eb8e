"""Offer answers to choose from: the right one among plausible others, in a drawn order."""

from __future__ import annotations

import re

import numpy as np

from sightline.data.worlds.questions import SceneQuestion
from sightline.data.worlds.scene import CELLS, COLOURS, MAX_VALUE, SHAPE_COUNT_SHARES, SHAPES, WORDS

_PAIR = re.compile(r", the ([\w ]+) or the ([\w ]+)\?")


def answer_options(question: SceneQuestion, rng: np.random.Generator, options: int = 4) -> tuple[str, ...]:
    """Up to `options` different answers of one sort, the right one at a random place; two for yes or no."""
    others = [answer for answer in _answers_alike(question) if answer != question.answer]
    drawn = [others[index] for index in rng.permutation(len(others))[: options - 1]]
    drawn.insert(int(rng.integers(len(drawn) + 1)), question.answer)
    return tuple(drawn)


def _answers_alike(question: SceneQuestion) -> tuple[str, ...]:
    """All answers that a question of this sort can have."""
    pair = _PAIR.search(question.text)
    if pair:
        return pair.groups()
    if question.answer in ("yes", "no"):
        return ("yes", "no")
    if question.kind == "count":
        return tuple(str(number) for number in range(len(SHAPE_COUNT_SHARES) + 1))
    if question.kind == "chart value":
        return tuple(str(value) for value in range(1, MAX_VALUE + 1))
    if question.kind == "reading":
        return WORDS if question.answer in WORDS else tuple(sorted({word[0] for word in WORDS}))
    return {"shape": SHAPES, "position": CELLS}.get(question.kind, COLOURS)
