"""Find the options that a text speaks of, each with what is said of it: "A is wrong", "- B: correct"."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sightline.scoring.option_letters import BETWEEN, CLOSE, OPEN, behind, letter_anywhere, own_text
from sightline.scoring.phrases import any_of, finder
from sightline.scoring.plain_text import SENTENCE_END
from sightline.scoring.records import Item
from sightline.scoring.verdicts import letters_of

DENIED = finder(
    "denies",
    "doubts",
    after=r"\s*(?:(?:the|an?|to|be|la|le|el|il|die|o|that|which|correct|possible|\w+ly)\s+)*$",
)
"""A denial, or a doubt, at the end of what stands before an option."""

VERDICT = re.compile(f"(?P<wrong>{any_of('wrong')})|(?P<right>{any_of('right')})", re.IGNORECASE)
_CONDITION = finder("conditions", before=r"\s*(?:only\s+)?")
_JOIN = re.compile(BETWEEN, re.IGNORECASE)
_OPTION_BEFORE = finder("option", after=rf"\s*{OPEN}$")
_BRACKET_OPENS, _BRACKET_CLOSES = ("(", "[", "「", "【"), (")", "]", "」", "】")
_LINE_OPENS = re.compile(r"(?:^|\n)\s*[(\[]?$")
_LABEL_ENDS = re.compile(r"[)\]]?\s*[.):,、—–|-]|\)")
_CLOSES = re.compile(rf"{CLOSE}\s*")
_LETTER_BEHIND = re.compile(rf"[^\S\n]+{OPEN}[A-Z]\b")
_LOOK_BACK, _LOOK_AHEAD = 40, 160
"""Characters around an option in which a denial, or a verdict, is taken to be of it."""


@dataclass(frozen=True)
class Mention:
    """A letter that a text names as an option; `right` is what the text says of it, None where nothing."""

    letter: str
    start: int
    end: int
    right: bool | None


def mentions(item: Item, text: str) -> list[Mention]:
    """Letters in brackets, as labels of lines, behind "option", joined to one of these, or with a verdict beside."""
    matches = _named(text, list(letter_anywhere(letters_of(item)).finditer(text)))
    found = []
    for match, following in zip(matches, [*matches[1:], None], strict=False):
        rest = text[match.end() : following.start() if following else len(text)]
        right = _verdict_of(text, match, behind(own_text(item, match.group()), rest))
        if DENIED.search(text[max(0, match.start() - _LOOK_BACK) : match.start()].rstrip("([\"'")):
            right = False
        found.append(Mention(match.group(), match.start(), match.end(), right))
    return _shared(text, found)


def _named(text: str, letters: list[re.Match[str]]) -> list[re.Match[str]]:
    """Those of all letters that name an option, and those that are joined to one of them."""
    groups: list[list[re.Match[str]]] = []
    for letter in letters:
        if groups and _JOIN.fullmatch(text, groups[-1][-1].end(), letter.start()):
            groups[-1].append(letter)
        else:
            groups.append([letter])
    return [letter for group in groups if any(_names(text, one) for one in group) for letter in group]


def _names(text: str, letter: re.Match[str]) -> bool:
    return not _is_bare(text, letter) or verdict_beside(text[letter.end() :]) is not None


def verdict_beside(rest: str) -> bool | None:
    """What stands right behind an option: True for "is correct", False for "is wrong"."""
    found = VERDICT.match(rest, _CLOSES.match(rest).end())  # type: ignore[union-attr]
    # "B not A" denies A.
    if found is None or _LETTER_BEHIND.match(rest, found.end()):
        return None
    return _verdict(found)


def _verdict(found: re.Match[str] | None) -> bool | None:
    """What a verdict says; one under a condition ("would be correct if") denies."""
    if found is None:
        return None
    return found["right"] is not None and not _CONDITION.match(found.string, found.end())


def _verdict_of(text: str, match: re.Match[str], rest: str) -> bool | None:
    """What is said of an option: of one that labels a line in that line, of others in their sentence or beside them."""
    if _is_bare(text, match):
        return verdict_beside(rest)
    told = rest.split("\n") if _labels_line(text, match) else SENTENCE_END.split(rest)
    return _verdict(VERDICT.search(told[0][:_LOOK_AHEAD]))


def _is_bare(text: str, match: re.Match[str]) -> bool:
    """Whether nothing but the letter tells that it names an option."""
    bracketed = text.endswith(_BRACKET_OPENS, 0, match.start()) and text.startswith(_BRACKET_CLOSES, match.end())
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    return not (bracketed or _labels_line(text, match) or _OPTION_BEFORE.search(before))


def _labels_line(text: str, match: re.Match[str]) -> bool:
    start = max(0, match.start() - _LOOK_BACK)
    opens = _LINE_OPENS.search(text[start : match.start()])
    return bool(opens and (start == 0 or opens.group().startswith("\n")) and _LABEL_ENDS.match(text, match.end()))


def _shared(text: str, found: list[Mention]) -> list[Mention]:
    """Of joined letters the verdict of the last ("C and D are wrong") or the denial of the first holds for all."""
    groups: list[list[Mention]] = []
    for mention in found:
        if groups and _JOIN.fullmatch(text, groups[-1][-1].end, mention.start):
            groups[-1].append(mention)
        else:
            groups.append([mention])
    return [
        replace(mention, right=False if group[0].right is False else group[-1].right)
        for group in groups
        for mention in group
    ]
