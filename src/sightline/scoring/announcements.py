"""Find what a text announces as its answer: "the answer is B", "not A but B", "so it is B."."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sightline.scoring.option_letters import (
    CLOSE,
    OPEN,
    SEVERAL,
    behind,
    is_word,
    match_letter,
    own_text,
    unless_listed,
)
from sightline.scoring.option_mentions import DENIED, verdict_beside
from sightline.scoring.option_texts import option_at_start
from sightline.scoring.phrases import any_of, finder
from sightline.scoring.plain_text import sentence_around, sentence_start
from sightline.scoring.records import Item

# What may stand between an announcement and the answer.
_TAIL = rf"[\s:=—–\-\"',、】\])]*(?:{any_of('adverbs')}\s+)?(?:{any_of('option')}[\s:]*)?"
_ANNOUNCES = finder("announces", "chooses", after=_TAIL)
_CONTRASTS = finder("contrasts", after=_TAIL)
_CONCLUDES = finder("concludes", after=_TAIL)
_ENDS_CLAUSE = re.compile(rf"{CLOSE}\s*(?:[.,;:!)\n。、—–→]|$)")
_DENIES = finder("denies")
_REFUSES = finder("refuses")
_SUPPOSES = finder("conditions", "hedges")
_IF_BEHIND = finder("conditions", "hedges", before=rf"{OPEN}\w{CLOSE}\s+")
_CLAUSE = re.compile(r"[.,;:!?\n。、]|\b(?:but|so)\b")


@dataclass(frozen=True)
class Claim:
    """An option that a text calls the answer; a supposed one stands in a condition or behind "could be"."""

    said: str
    end: int
    supposed: bool = False


def claims(item: Item, text: str) -> list[Claim]:
    """What the text announces, in order: letters, or SEVERAL where letters are joined. Questions announce nothing."""
    found = [
        Claim(said, cue.end(), _is_supposed(text, cue))
        for cue, said in _announced(item, text)
        if not sentence_around(text, cue.start()).endswith("?")
    ]
    return sorted(found, key=lambda claim: claim.end)


def _announced(item: Item, text: str) -> Iterator[tuple[re.Match[str], str]]:
    for pattern in (_ANNOUNCES, _CONTRASTS, _CONCLUDES):
        for cue in pattern.finditer(text):
            if pattern is not _CONTRASTS and _is_denied(text, cue):
                continue
            said = _concluded(item, text, cue) if pattern is _CONCLUDES else phrase(item, text[cue.end() :])
            if said is not None:
                yield cue, said


def _is_denied(text: str, cue: re.Match[str]) -> bool:
    """Whether an announcement is denied or refused: "the answer is not", "I cannot choose"."""
    before = text[max(0, cue.start() - 80) : cue.start()]
    return bool(_DENIES.search(cue.group()) or DENIED.search(before) or _REFUSES.search(_CLAUSE.split(before)[-1]))


def _is_supposed(text: str, cue: re.Match[str]) -> bool:
    """Whether a condition or a hedge stands before the announcement, or an "if" right behind its letter."""
    told = text[sentence_start(text, cue.start()) : cue.end()]
    return bool(_SUPPOSES.search(told) or _IF_BEHIND.match(text, cue.end()))


def _concluded(item: Item, text: str, cue: re.Match[str]) -> str | None:
    """A letter that ends its clause."""
    rest = text[cue.end() :]
    letter = match_letter(item, rest)
    return unless_listed(item, rest, letter) if letter and _ENDS_CLAUSE.match(rest, letter.end()) else None


def phrase(item: Item, text: str) -> str | None:
    """What a phrase behind an announcement says: a letter, unless it is a word or ruled out, or an option's text."""
    letter = match_letter(item, text, either_case=True)
    if letter is None or is_word(letter["letter"], text[letter.end() :]):
        # "A triangle", with a capital behind "is", may be A or the triangle.
        if letter and letter["letter"] == "A" and option_at_start(item, text[letter.end() :]) not in ("A", None):
            return SEVERAL
        return option_at_start(item, text)
    said = unless_listed(item, text, letter)
    if said == SEVERAL:
        return option_at_start(item, text) or SEVERAL
    return None if verdict_beside(behind(own_text(item, said), text[letter.end() :])) is False else said
