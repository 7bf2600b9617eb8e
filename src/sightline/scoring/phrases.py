"""Phrases that announce, deny or refuse an answer (phrases.toml), and removal of what surrounds it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

_WITHOUT_BLANKS = frozenset({"Chinese", "Japanese", "Korean"})
_NO_WORDS = frozenset({"marks", "endings"})
_FEW_WORDS = r"\b[^.\n:;?!。：；？！]{0,60}?\b"


def any_of(*names: str) -> str:
    """A pattern for any phrase of these tables in any language, to be used without regard to letter case."""
    spaced: list[str] = []
    joined: list[str] = []
    marks: list[str] = []
    for name in names:
        for language, phrases in tables()[name].items():
            kind = joined if language in _WITHOUT_BLANKS else marks if language in _NO_WORDS else spaced
            kind += map(_pattern, phrases)
    # One test before all words of a kind: most places of a text begin none of them.
    kinds = (
        (rf"(?<!\w)(?=\w)(?:{'|'.join(spaced)})(?!\w)", spaced),
        (rf"(?=[^\x00-\x7f])(?:{'|'.join(joined)})", joined),
        ("|".join(marks), marks),
    )
    return "(?:" + "|".join(pattern for pattern, phrases in kinds if phrases) + ")"


def finder(*names: str, before: str = "", after: str = "") -> re.Pattern[str]:
    """The compiled pattern, letter case aside, with what must stand around the phrase.

    >>> bool(finder("refuses").search("I'm sorry, I can't tell."))
    True
    """
    return re.compile(before + any_of(*names) + after, re.IGNORECASE)


@cache
def tables() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """The phrases themselves, by table and language."""
    return tomllib.loads(files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8"))


def _pattern(phrase: str) -> str:
    return phrase.replace(" …", _FEW_WORDS).replace(" ?", r"\s*").replace(" ", r"\s+")


_FOLDED = (
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
    | {0x24B6 + index: ord("A") + index for index in range(26)}
    | {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0xA0: " ", 0x3000: " "}
)
"""Full-width forms, letters in circles, curled quotes, and blanks of fixed width."""

_MARKS = (
    (re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|bf|rm)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"<(b|strong|i|em|u|p|span)(?:\s[^<>]*)?>(.*?)</\1>", re.IGNORECASE | re.DOTALL), r"\2"),
    (re.compile(r"\\[\[\]()]|\$+|\*\*|__|`+"), ""),
    (re.compile(r"(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)"), ""),
    (re.compile(r"^[ \t]*(?:#{1,6}|>|[-•*+|](?=\s))[ \t]*", re.MULTILINE), ""),
)
_IDIOM = finder("idioms")
_ASKS_ON = finder("asks", before=r"(?<=\S)\s+(?:#+ *)?", after=r"\s*\d*\s*:")


# "Actually" begins a sentence, "I mean" may stand within one; several may follow each other.
_CORRECTS = rf"{any_of('corrects')}(?:\W+{any_of('turns', 'corrects')})*\W*"
_TURN = re.compile(
    rf"(?:^|(?<=[.!?\n…]))\W{{0,20}}(?:(?:no|hm+|oh)\W+)?{any_of('turns', 'corrects')}"
    rf"(?:\W+{any_of('turns', 'corrects')})*\W*"
    rf"|(?:(?<=[,;(—–])|(?<=\s-))\s*{_CORRECTS}",
    re.IGNORECASE,
)
_TAKES_BACK = finder("takes_back", before=r"\W*")
SENTENCE_END = re.compile(r"[.!?;。](?=\s|$)|(?<=[。;])|\n+")
"""Where a sentence, a line or a part of a sentence ends."""


def fold(text: str) -> str:
    """The text with ASCII for full-width letters and marks.

    >>> fold("（Ｂ）")
    '(B)'
    """
    return text.translate(_FOLDED)


def plain(text: str) -> str:
    """The text without emphasis, headers, bullets, formula marks and idioms such as "no doubt".

    >>> plain("### **Answer**: \\\\(\\\\text{B}\\\\)")
    'Answer: B'
    """
    said = fold(text)
    for marks, kept in _MARKS:
        while (bare := marks.sub(kept, said)) != said and "<" in bare:  # tags stand in tags
            said = bare
        said = bare
    return _IDIOM.sub("", said).strip()


def turns(text: str) -> list[str]:
    """The text up to each question that it goes on to ask itself, the shortest first, and whole.

    >>> turns("B\\nQuestion: What is next? Answer: A")
    ['B', 'B\\nQuestion: What is next? Answer: A']
    """
    return [*(text[: asked.start()].strip() for asked in _ASKS_ON.finditer(text)), text]


def after_turn(text: str) -> str | None:
    """What follows the last sentence that begins with "wait" or the like, or the last "I mean"; None without any.

    >>> after_turn("Yes. Wait, no.")
    'no.'
    """
    *_, last = [None, *_TURN.finditer(text)]
    return text[last.end() :] if last else None


def takes_back(text: str) -> bool:
    """Whether a text begins with "that's not right" or the like."""
    return _TAKES_BACK.match(text) is not None


def sentence_start(text: str, position: int) -> int:
    """Where the sentence or line begins that a position lies in."""
    return max((end.end() for end in SENTENCE_END.finditer(text, 0, position)), default=0)


def sentence_around(text: str, position: int) -> str:
    """The sentence or line that a position lies in, with its mark."""
    end = SENTENCE_END.search(text, position)
    return text[sentence_start(text, position) : end.end() if end else len(text)].strip()
