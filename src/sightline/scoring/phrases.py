"""Patterns of phrases that announce, deny, join, doubt or refuse an answer, made of the tables in phrases.toml."""

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
