"""Verdicts from parsers: an answer that says the gold is right, one that says nothing is unparsed."""

from __future__ import annotations

from collections.abc import Callable

from sightline.scoring.records import Item, Scorer, Verdict

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
