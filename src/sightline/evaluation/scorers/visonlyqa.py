"""VisOnlyQA: "True" or "False", or the letters of one or several options that stand in the question."""

from __future__ import annotations

import re

from sightline.evaluation.scorers.final_answer import after_reasoning, boxed
from sightline.evaluation.scorers.verdicts import UNPARSED
from sightline.evaluation.task import Item, Verdict

_TRUTH = re.compile(r"\b(true|false)\b", re.IGNORECASE)
_LETTERS_ALONE = re.compile(r"\W*[a-e](?:\W+(?:and\W+)?[a-e])*\W*", re.IGNORECASE)
_LETTER = re.compile(r"\b[a-e]\b", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([a-e])\)", re.IGNORECASE)
_OPENING = re.compile(r"\A\W*([a-e])\)", re.IGNORECASE)
_ANSWER = re.compile(r"\banswers?\b(?:\s*(?:is|are|:))*", re.IGNORECASE)


def score_strict(item: Item, answer: str) -> Verdict:
    """Right where all the letters of the gold answer are said and no other; several are an answer only if asked for."""
    read = _read_truth if item.answers[0] in ("True", "False") else _read_letters
    text = after_reasoning(answer)
    said = read(boxed(text) or text)
    if not said or (len(said) > 1 and item.facts.get("question_type") != "multiple_answers"):
        return UNPARSED
    return Verdict(float(said == set(item.answers[0].split(","))), ",".join(sorted(said)))


def _read_truth(text: str) -> set[str]:
    return {word.capitalize() for word in _TRUTH.findall(text)}


def _read_letters(text: str) -> set[str]:
    """Letters that stand alone in the whole answer or behind the last "answer is", else those in brackets there, else
    an opening "a)", else all in brackets."""
    *_, last = _ANSWER.split(text)
    alone = next((part for part in (text, last) if _LETTERS_ALONE.fullmatch(part)), "")
    found = _LETTER.findall(alone) or _BRACKETED.findall(last) or _OPENING.findall(text) or _BRACKETED.findall(text)
    return {letter.lower() for letter in found}
