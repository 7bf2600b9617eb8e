"""The grammar of NLVR's sentences: hand-worked answers, and the crowd's own where both say the same."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def grammar(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("nlvr_sentences")


def tower(*colours):
    """Blocks from the top."""
    names = {"black": "Black", "blue": "#0099ff", "yellow": "Yellow"}
    lowest = 101 - 21 * len(colours)
    return [
        {"type": "square", "size": 20, "x_loc": 40, "y_loc": lowest + 21 * place, "color": names[colour]}
        for place, colour in enumerate(colours)
    ]


def answers(ask, wanted):
    """What the drawn questions of these texts are answered for the only picture."""
    found = {}
    for _ in range(20_000):
        question = ask()
        if question.text in wanted:
            found[question.text] = question.names[question.answers_N[0]]
    return found


def test_hand_worked_towers(grammar):
    scene = [tower("black", "blue"), tower("yellow"), tower("black", "black", "yellow")]
    towers = grammar.Towers([scene], random.Random(0))
    looks = {
        "top of the left tower": "black",
        "base of the right tower": "yellow",
        "how many blocks in the middle tower": "one",
        "how many black blocks in the right tower": "two",
    }
    counts = {"how many black blocks": "three", "how many yellow towers": "one"}
    claims = {
        "there is a black block over a blue block": "true",
        "there is a blue block over a black block": "false",
        "there is a blue block under a black block": "true",
        "there is no blue block over a black block": "true",
        "the top of a tower is blue": "false",
    }
    assert answers(towers.look, looks) == looks
    assert answers(towers.count, counts) == counts
    assert answers(towers.claim, claims) == claims


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("Towers", 40), ("Items", 10)])
def test_the_crowd_judges_as_the_grammar_does(grammar, shared, kind, least):
    """Sentences of training that 8,000 draws meet; workers err now and then."""
    shown = importlib.import_module("nlvr_scenes").read_shown(shared / "data" / "nlvr_v1" / "train_testP.jsonl")
    shown = [picture for picture in shown if picture.has_towers or kind == "Items"]
    said: dict[str, dict[int, str]] = {}
    for index, picture in enumerate(shown):
        sentence = " ".join(picture.row["question"].lower().rstrip(". ").split())
        said.setdefault(sentence, {})[index] = picture.row["answer"]
    drawn = getattr(grammar, kind)([picture.boxes for picture in shown], random.Random(1))
    agreed = {}
    for _ in range(8_000):
        claim = drawn.claim()
        for index, answer in said.get(claim.text, {}).items():
            agreed[claim.text, index] = claim.names[claim.answers_N[index]] == answer
    assert len({sentence for sentence, _ in agreed}) >= least
    assert sum(agreed.values()) >= 0.97 * len(agreed)
