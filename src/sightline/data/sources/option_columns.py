"""Columns that hold the options of a question, under any name, of which its answer is only the letter or the place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sightline.data.sources.answers import plain_text, written_list

# All options in one column, or each in its own, by the names that datasets give them.
_ALL = re.compile(
    r"(?:options?|choices?|candidates?|alternatives|distractors"
    r"|(?:mc|answer|multiple|possible|candidate)_?(?:options?|choices?|answers?|candidates?))(?:_?list)?"
)
_ONE = re.compile(r"(?:(?:options?|choices?|opt|candidate|answer)_?)?[a-j]|(?:option|choice|opt|candidate)_?\d")
# B, (b), B., 2), and A, C where several are right.
_LETTER_OR_PLACE = re.compile(r"\(?(?:[A-Za-z]|\d{1,2})[).:]?|[A-Z](?:(?:, ?|,? and | )?[A-Z])+")
_ANSWERS = ("answer", "answers")


def options_meant(cells: Mapping[str, Any], answer: str) -> list[str]:
    """The columns whose options an answer picks one of by its letter or place; none where it is a text of its own.

    >>> options_meant({"candidates": ["cat", "dog"], "answer": "B"}, "B")
    ['candidates']
    >>> options_meant({"choices": ["2", "3"], "answer": 3}, "3")
    []
    """
    if not _LETTER_OR_PLACE.fullmatch(answer):
        return []
    names = {name: re.sub(r"[\s-]+", "_", name.strip().lower()) for name in cells if name not in _ANSWERS}
    whole = [name for name, spelt in names.items() if _ALL.fullmatch(spelt) and _picks(answer, _texts(cells[name]))]
    single = [name for name, spelt in names.items() if _ONE.fullmatch(spelt) and _texts(cells[name])]
    said = [text for name in single for text in _texts(cells[name])]
    return whole or (single if len(single) > 1 and _picks(answer, said) else [])


def _picks(answer: str, options: list[str]) -> bool:
    """Whether an answer names options by their letters, or one by its place, and is none of them itself."""
    if not options or answer in options:
        return False
    marks = re.sub(r" and |[^A-Za-z0-9]", "", answer)
    if marks.isdigit():
        return int(marks) <= len(options)
    places = [ord(letter) - ord("A") for letter in marks.upper()]
    most = len(options) if len(places) > 1 else max(len(options), 10)  # one letter too far is a mistake to be told
    return places == sorted(set(places)) and places[-1] < most


def _texts(options: Any) -> list[str]:
    parts = written_list(options)
    parts = list(parts.values()) if isinstance(parts, dict) else parts if isinstance(parts, list | tuple) else [parts]
    return [text for part in parts if (text := plain_text(part).strip())]
