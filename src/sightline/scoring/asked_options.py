"""Options that a question lists in its own text, and the letters of the gold answers that are among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sightline.scoring.records import Item

_LABEL = re.compile(r"(?:^|(?<=[\s:?：？、,;]))[(（]?([A-J])[).:）：、．](?=\s*\S)\s*")
_ENDS = " \t\n,;|"


def with_asked_options(item: Item) -> Item:
    """The item with the options that its question lists, where every gold answer is one of them; else as it is.

    A gold answer may be the letter, the text, or both, in any case: such rows say the letter, and models the rest.
    """
    options = _listed(item.question)
    letters = [_letter_of(gold, options) for gold in item.answers]
    if not letters or not all(letters):
        return item
    return replace(item, options=tuple(options), answers=tuple(dict.fromkeys(letters)))


def _listed(question: str) -> list[str]:
    """The texts behind labels A, B, ... in their order, the last such run of at least two."""
    run: list[re.Match[str]] = []
    for label in _LABEL.finditer(question):
        if label[1] == "A":
            run = [label]
        elif run and ord(label[1]) == ord(run[-1][1]) + 1:
            run.append(label)
    if len(run) < 2:
        return []
    ends = [*(label.start() for label in run[1:]), len(question)]
    texts = [question[label.end() : end].strip(_ENDS) for label, end in zip(run, ends, strict=True)]
    texts[-1] = texts[-1].split("\n")[0].strip(_ENDS)  # what follows on further lines asks for the form of the answer
    return texts if all(texts) else []


def _letter_of(gold: str, options: Sequence[str]) -> str:
    """The letter that a gold answer means; empty where it means no option, or two."""
    said = gold.strip().rstrip(".")
    label = _LABEL.match(said)
    letters = [chr(ord("A") + place) for place in range(len(options))]
    if said.strip("()").upper() in letters:
        return said.strip("()").upper()
    bare = said[label.end() :] if label else said
    named = [letter for letter, text in zip(letters, options, strict=True) if _flat(text) == _flat(bare)]
    return named[0] if len(named) == 1 and (not label or label[1] == named[0]) else ""


def _flat(text: str) -> str:
    return text.strip().rstrip(".").lower()
