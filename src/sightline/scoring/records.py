"""Records of scoring: an item, the verdict on its answer, and the scorers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sightline.types import Picture, Turn


@dataclass(frozen=True)
class Item:
    """One question of a benchmark, whatever its source looked like.

    Attributes:
        id: unique in its task.
        name: where it came from ("POPE.tsv row 12"), for messages.
        question: the text as the source has it; "<image 1>" marks where the first picture stands, otherwise pictures
            come before the text.
        options: texts of the options in order; option i has the letter chr(65 + i).
        answers: gold answers; the letter where there are options.
        category: the row of the per-category table it belongs to.
        group: items that are judged together: rotations of one question, two questions of one picture;
            `facts["group_size"]` says how many there are.
        facts: further columns that prompts, scorers or metrics read (hint, answer_type, precision, unit, l2-category);
            `cluster` names what items of several pictures have in common, where intervals must know it.
        gold_read_as: "index" or "text" where a gold answer was a number that only one of the two explains.
        aliases: what else files of predictions call the item, one name per way of naming; several items may share one.
        turns: what was said before the question; pictures are numbered over all of it.
    """

    id: str
    name: str
    question: str
    pictures: tuple[Picture, ...] = ()
    options: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    category: str = ""
    group: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    gold_read_as: str = ""
    aliases: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What a scorer makes of one answer.

    Attributes:
        score: 0 to 1.
        parsed: what was read out of the answer ("B", "yes", "12.5"); None when nothing could be: unparsed, score 0.
    """

    score: float
    parsed: str | None


@dataclass(frozen=True)
class Judged:
    """An item, the answer it got and its verdict; `error` is set where no answer came."""

    item: Item
    answer: str
    verdict: Verdict
    error: str = ""


Scorer = Callable[[Item, str], Verdict]


Parser = Callable[[Item, str], str | None]
"""What an answer says, in the spelling of the gold answers; None where it says nothing that can be read."""

UNPARSED = Verdict(0.0, None)


def matching(parser: Parser) -> Scorer:
    """A scorer that is right where the parser's reading is one of the gold answers, letter case aside."""

    def score(item: Item, answer: str) -> Verdict:
        parsed = parser(item, answer)
        if parsed is None:
            return UNPARSED
        return Verdict(float(parsed.lower() in {gold.strip().lower() for gold in item.answers}), parsed)

    return score


def letters_of(item: Item) -> str:
    """The letters of an item's options: "ABCD" for four."""
    return "".join(chr(ord("A") + index) for index in range(len(item.options)))
