"""Find option letters in a text, in any dress: (B), "B", [B]; alone, or joined to others."""

from __future__ import annotations

import re
from functools import lru_cache

from sightline.scoring.option_texts import option_at_start
from sightline.scoring.phrases import any_of
from sightline.scoring.records import Item
from sightline.scoring.verdicts import letters_of

SEVERAL = ""
"""What is read where several options are named, or one that there is not: no option, and no other reader helps."""

WORD = r"0-9A-Za-z_À-ɏЀ-ӿ"
"""Characters that make a word of a letter beside them; those of Chinese, Japanese and Korean do not."""

OPEN = r"[\s\"'(\[{<「『【《«»]*"
CLOSE = r"[\"')\]}>」』】》«»]*"
BETWEEN = rf"{CLOSE}(?:\s*(?:{any_of('joins')}\s*)+(?:{any_of('option')}\s*)?|(?<=\))(?=\()){OPEN}"
"""What joins two letters: "B and C", "(B) or option (C)"."""

_JOINED = re.compile(rf"(?i:{BETWEEN})(?P<letter>[A-Z])(?![{WORD}]|'[{WORD}])")
_JOINED_END = re.compile(rf"(?<![{WORD}])([A-Z])(?:(?i:{BETWEEN})|\s+)$")
_ROW = re.compile(rf"{OPEN}[A-Z](?:(?:{BETWEEN}|{CLOSE}\s*\n\s*{OPEN})[A-Z](?![{WORD}]))+[\s.)]*", re.IGNORECASE)
_LETTER = re.compile(rf"(?<![{WORD}])[A-Z](?![{WORD}])", re.IGNORECASE)
_OR_BRACKETED = re.compile(rf"{OPEN}[A-Z]\)[^.\n()]{{0,60}}\b(?:and|or)\s+\([A-Z]\)")
_DRESS = re.compile(r"[\s).:\]\"'*–—-]*")
_LABEL_ENDS = re.compile(r"[)\]}]*[.:)]*[ \t]*")
_GOES_ON = re.compile(rf"\s+{any_of('because')}", re.IGNORECASE)
_FORMULA = re.compile(r"\s*[=+*/^]\s*\w|-\w|\s-\s[a-z\d]|\s+\d")
_IN_WORD = re.compile(f"[{WORD}]")
_WORD_BEHIND = re.compile(r"\s+[a-zà-ÿ]")


def match_letter(item: Item, text: str, either_case: bool = False) -> re.Match[str] | None:
    """The option letter that a text opens with, whatever marks stand around it."""
    return _letter_pattern(letters_of(item), either_case).match(text)


@lru_cache(maxsize=64)
def _letter_pattern(letters: str, either_case: bool) -> re.Pattern[str]:
    some = (letters + letters.lower() if either_case else letters) or "-"
    return re.compile(rf"{OPEN}(?P<letter>[{some}])(?![{WORD}]|'[{WORD}])")


@lru_cache(maxsize=64)
def letter_anywhere(letters: str) -> re.Pattern[str]:
    """A pattern for any of the letters as a word of its own."""
    return re.compile(rf"(?<![{WORD}'\\])[{letters or '-'}](?![{WORD}]|'[{WORD}])")


def unless_listed(item: Item, text: str, letter: re.Match[str]) -> str:
    """The letter, or SEVERAL where another is joined to it, or where the text of another option stands behind it."""
    said = letter["letter"].upper()
    rest = text[letter.end() :]
    if _contradicts(item, said, rest) or _OR_BRACKETED.match(text[letter.start() :]):
        return SEVERAL
    listed = _JOINED.match(behind(own_text(item, said), rest))
    if listed is None or listed["letter"] not in letters_of(item):
        return said
    return said if is_word(listed["letter"], listed.string[listed.end() :]) else SEVERAL


def _contradicts(item: Item, letter: str, rest: str) -> bool:
    """Whether the text of another option stands behind a letter where its own is due: "(A) no" of A. yes, B. no."""
    start = _LABEL_ENDS.match(rest).end()  # type: ignore[union-attr]
    said = option_at_start(item, rest[start:].split("\n")[0], whole=True) if 0 < start < len(rest) else None
    return said is not None and said != letter and own_text(item, said).upper() != letter


def only_lists(text: str) -> bool:
    """Whether a text is nothing but different letters that are joined, or each on a line of its own."""
    return _ROW.fullmatch(text) is not None and len(set(map(str.upper, _LETTER.findall(text)))) > 1


def is_joined(item: Item, before: str) -> bool:
    """Whether a text ends with an option letter and a join, so that a letter behind it is one of several."""
    listed = _JOINED_END.search(before[-40:])
    return listed is not None and listed[1] in letters_of(item)


def is_word(letter: str, rest: str) -> bool:
    """Whether a bare letter is the article in "a dog", the pronoun in "I think", or part of a formula."""
    if _FORMULA.match(rest):
        return True
    return bool(_WORD_BEHIND.match(rest)) and (letter in "AI" or letter.islower()) and not _GOES_ON.match(rest)


def own_text(item: Item, letter: str) -> str:
    """The text of a letter's option; empty where there is no such option."""
    return item.options[ord(letter) - ord("A")] if letter and letter in letters_of(item) else ""


def behind(own: str, text: str) -> str:
    """What follows an option's own text, where a text begins with it."""
    start = _DRESS.match(text).end()  # type: ignore[union-attr]
    end = start + len(own)
    return text[end:] if text[start:end].lower() == own.lower() and not _IN_WORD.match(text, end) else text
