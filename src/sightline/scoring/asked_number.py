"""Find the number that a question's own words point at: what fills its blank, the year, how many of a thing."""

from __future__ import annotations

import re

from sightline.scoring.final_answer import refuses, sentences
from sightline.scoring.number_spelling import spelled
from sightline.scoring.numbers import ANY_NUMBER, NO_VALUE, Number, has_number, number_of, read_number

_BLANK = re.compile(r"(?:\(_+\)|_{2,})\s*(\w+(?:\s+\w+){1,2})")
_WHICH_YEAR = re.compile(r"\b(?:which|what)\s+year\b|^\s*when\b", re.IGNORECASE)
_YEAR = re.compile(r"(?<![\w.,$€£])(?:1[89]|20)\d\d(?!\w|[.,]\d)")
_HOW_MANY = re.compile(r"\bhow\s+many\s+(?:of\s+the\s+|more\s+|other\s+|different\s+)*([a-z'’-]+?)s?\b", re.IGNORECASE)
_COMPARES = re.compile(r"\b(?:least|most|between|exactly|of\s+(?:the|all|these|those))\s*$", re.IGNORECASE)
_CONCLUDES = re.compile(r"\b(?:answer|total|therefore|thus|hence|so)\b|=", re.IGNORECASE)
_NONE = re.compile(
    r"\W*(?:none|nil|no\s+[\w-]+(?:\s+[\w-]+)?|没有[^。，]{0,8}|keine?[rn]?|aucune?|ninguno|nessuno)\W*", re.IGNORECASE
)
_NO_SUCH = r"\b(?:no|(?:not|\w+n['’]t)\s+(?:\w+\s+)?any)\s+(?!other|more|further|additional)(?:[\w-]+\s+)?{thing}s?\b"


def read_asked_number(question: str, text: str) -> Number | None:
    """The number that the text gives in the question's words, else the one that it comes to.

    >>> read_asked_number("It has 9 dots. There are (_) dots in each row.", "9 dots, with 3 dots in each row.").written
    '3'
    >>> read_asked_number("Which year has more rain?", "It was 2016, with 94 days.").written
    '2016'
    >>> read_asked_number("How many items sold more than 5 units?", "In it, 10 items sold more than 5 units.").written
    '10'
    """
    said = read_number(text)
    if blank := _BLANK.search(question):
        return _first_before(blank[1], spelled(text)) or said
    if _WHICH_YEAR.search(question):
        years = _YEAR.findall(text)
        only_one = len(set(years)) == 1 and not refuses(text)
        return number_of(years[0]) if only_one or (years and said and said.written not in years) else said
    if counted := _HOW_MANY.search(question):
        if _says_none(counted[1], text):
            return number_of("0")
        if not _CONCLUDES.search(text):
            counts = _counts(counted[1], spelled(text))
            if len(counts) > 1 and (said is None or 2 * (said.value or 0) != sum(one.value or 0 for one in counts)):
                return None  # several kinds, and nothing that is all of them
            return counts.pop() if len(counts) == 1 else said
    return said


def _says_none(thing: str, text: str) -> bool:
    """Whether all of the text is "none", or it says that there is no such thing, and no number or at last."""
    if _NONE.fullmatch(text):
        return True
    last = (sentences(text) or [""])[-1]
    if refuses(text) or (has_number(text) and not _CONCLUDES.match(last)):
        return False
    return re.search(_NO_SUCH.format(thing=re.escape(thing)), last, re.IGNORECASE) is not None


def _first_before(words: str, text: str) -> Number | None:
    phrase = r"\s+".join(map(re.escape, words.split()))
    found = re.search(rf"({ANY_NUMBER.pattern})\**\s+{phrase}\b", text, re.IGNORECASE)
    number = number_of(found[1]) if found else None
    return number if number and number.value is not None else None


def _counts(thing: str, text: str) -> set[Number]:
    """The numbers before the thing that is counted; those without a single value are none."""
    count = re.compile(rf"({ANY_NUMBER.pattern})\**(?:\s+[a-z-]+){{0,2}}?\s+\**{re.escape(thing)}s?\b", re.IGNORECASE)
    told = " \n".join(sentence for sentence in sentences(text) if not sentence.endswith("?"))
    said = {number_of(found[1]) for found in count.finditer(told) if not _compares(told[: found.start()])}
    return {number for number in said if number.value is not None}


def _compares(before: str) -> bool:
    return _COMPARES.search(before) is not None or NO_VALUE.search(before) is not None
