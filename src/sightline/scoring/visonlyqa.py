"""VisOnlyQA: "True" or "False", or the letters of one or several options that stand in the question."""

from __future__ import annotations

import re
from dataclasses import replace

from sightline.scoring import multiple_choice, yes_no
from sightline.scoring.final_answer import after_reasoning, boxed
from sightline.scoring.option_mentions import mentions
from sightline.scoring.phrases import finder
from sightline.scoring.plain_text import plain, turns
from sightline.scoring.records import Item, Verdict
from sightline.scoring.verdicts import UNPARSED

_OPTION = re.compile(r"\(([a-e])\)\s*(.*?)\s*(?=\([a-e]\)|\n|$)")
_SMALL = re.compile(r"(?<![\w'])([a-e])(?=[)}]|\.(?:\s|$)|\s*$)", re.MULTILINE)
_LETTERS_ALONE = re.compile(r"\W*[a-e](?:\W+(?:and\W+)?[a-e])*\W*", re.IGNORECASE)
_LETTER = re.compile(r"\b[a-e]\b", re.IGNORECASE)
_ANNOUNCES = finder("announces", "announces_several", after=r"[\s:]*")
_REFUSES = finder("refuses")
_TRUTHS = {"yes": "True", "no": "False"}


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where all the letters of the gold answer are said and no other; several are an answer only if asked for."""
    if item.answers[0] in ("True", "False"):
        said = _truth(item, answer)
    elif item.facts.get("question_type") == "multiple_answers":
        said = _letters(item, answer)
    else:
        said = _letter(item, answer)
    return Verdict(float(said == item.answers[0]), said) if said else UNPARSED


def _truth(item: Item, answer: str) -> str | None:
    return _TRUTHS.get(yes_no.read_strict(item, answer) or "")


def _letter(item: Item, answer: str) -> str | None:
    """The option by its small letter, which is read as a capital, or by its text in the question."""
    options = [text for _, text in _OPTION.findall(item.question)] or list("abcde")
    said = multiple_choice.read_strict(replace(item, options=tuple(options)), _capitals(answer))
    return said.lower() if said else None


def _letters(item: Item, answer: str) -> str | None:
    """Letters that stand alone in the whole answer or behind the last announcement, else those called right there, else
    those named there that are not ruled out."""
    text = plain(after_reasoning(answer))
    text = turns(boxed(text) or text)[0]
    *_, last = _ANNOUNCES.split(text)
    if _REFUSES.search(last):
        return None
    if alone := next((part for part in (text, last) if _LETTERS_ALONE.fullmatch(part)), ""):
        return _joined(_LETTER.findall(alone))
    named = mentions(replace(item, options=tuple("abcde")), _capitals(last))
    called_right = [mention.letter for mention in named if mention.right]
    return _joined(called_right or [mention.letter for mention in named if mention.right is None])


def _joined(letters: list[str]) -> str | None:
    return ",".join(sorted({letter.lower() for letter in letters})) or None


def _capitals(text: str) -> str:
    return _SMALL.sub(lambda letter: letter[1].upper(), text)
