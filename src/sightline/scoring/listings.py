"""Tell where a text only says the options again, and where a label of a line is the answer."""

from __future__ import annotations

import re

from sightline.scoring.option_letters import WORD, behind, match_letter, own_text, unless_listed
from sightline.scoring.option_mentions import VERDICT
from sightline.scoring.phrases import any_of
from sightline.scoring.records import Item
from sightline.scoring.verdicts import letters_of

_LINE_LABEL = re.compile(r"\s*[(\[]?([A-Z])[)\].:、]\s*\S")
_LABEL = re.compile(rf"(?<![{WORD}])[(\[]?([A-Z])[)\].:、]+\s*")
_LABEL_OF_FIRST_LINE = re.compile(r"(?:^|[\s,;.])[(\[]?([A-Z])[)\].:]+\s")
_GAP = re.compile(rf"[\s,;.、]*(?:{any_of('joins')}\s*)?", re.IGNORECASE)
_OPENS_LINE = re.compile(r"(?:^|[\n:])\s*$")


def without_listings(item: Item, text: str) -> str:
    """The text without what only says the options again: labels in their order, at least two, and no verdict."""
    kept: list[str] = []
    run: list[str] = []
    for line in _without_rows(item, text).split("\n"):
        label = _label(line)
        if run and (not line.strip() or label == _next_label(run)):
            run.append(line)
            continue
        kept += _unless_listing(item, run)
        run = [line] if label else []
        kept += [] if label else [line]
    return "\n".join([*kept, *_unless_listing(item, run)]).strip()


def labels(item: Item, text: str) -> set[str]:
    """Letters that label lines, or places of the first line."""
    found = {*map(_label, text.split("\n")), *_LABEL_OF_FIRST_LINE.findall(text.split("\n", 1)[0])}
    return found & set(letters_of(item))


def last_line(item: Item, text: str) -> str | None:
    """The letter that labels the last line, where the line before has no label: "So the answer is:\\n(B) green"."""
    *before, last = [line for line in text.split("\n") if line.strip()] or [""]
    letter = match_letter(item, last)
    if not letter or not before or not _label(last) or _label(before[-1]) or _has_verdict(item, last):
        return None
    return unless_listed(item, last, letter)


def _without_rows(item: Item, text: str) -> str:
    """The text without rows of options, each a letter and its text: all of them, or some that open a line."""
    rows: list[list[tuple[int, int]]] = []
    for label in _LABEL.finditer(text):
        own = own_text(item, label[1]).lower()
        if not own or text[label.end() : label.end() + len(own)].lower() != own:
            continue
        span = (label.start(), label.end() + len(own))
        if rows and _GAP.fullmatch(text, rows[-1][-1][1], span[0]):
            rows[-1].append(span)
        else:
            rows.append([span])
    for row in reversed(rows):
        start, end = row[0][0], row[-1][1]
        if len(row) == len(item.options) or (len(row) > 1 and _OPENS_LINE.search(text[:start])):
            text = text[:start] + text[end:]
    return text


def _label(line: str) -> str:
    found = _LINE_LABEL.match(line)
    return found[1] if found else ""


def _next_label(run: list[str]) -> str:
    labelled = sum(bool(line.strip()) for line in run)
    return chr(ord(_label(run[0])) + labelled)


def _unless_listing(item: Item, run: list[str]) -> list[str]:
    said = [line for line in run if line.strip()]
    return [] if len(said) > 1 and not any(_has_verdict(item, line) for line in said) else run


def _has_verdict(item: Item, line: str) -> bool:
    letter = _label(line)
    return VERDICT.search(behind(own_text(item, letter), line.lstrip(" ([").removeprefix(letter))) is not None
