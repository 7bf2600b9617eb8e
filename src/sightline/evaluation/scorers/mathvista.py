"""MathVista's official steps without its judge, and what lmms-eval and VLMEvalKit make of them.

Sources, described step by step: lupantech/MathVista evaluation/extract_answer.py and calculate_score.py at 53d5258;
lmms-eval 0.7.3 tasks/mathvista; VLMEvalKit dataset/utils/mathvista.py at e8e78f0. Where a peer asks GPT-4 what an answer
says, the answer is unparsed here; `strict` is `free_form`.
"""

from __future__ import annotations

import re

from sightline.evaluation.scorers.can_infer import read_vlmevalkit
from sightline.evaluation.scorers.edit_distance import edit_distance
from sightline.evaluation.scorers.verdicts import UNPARSED
from sightline.evaluation.task import Item, Verdict

_LETTER = re.compile(r"\(([a-zA-Z])\)")


def score_official(item: Item, answer: str) -> Verdict:
    """Extract without a judge, normalise, and compare to the letter."""
    normalised = _normalised(item, answer)
    return UNPARSED if normalised is None else Verdict(float(normalised == gold_text(item)), normalised)


def score_lmms_eval(item: Item, answer: str) -> Verdict:
    """The same, blanks around both sides aside."""
    normalised = _normalised(item, answer)
    if normalised is None:
        return UNPARSED
    return Verdict(float(normalised.strip() == gold_text(item).strip()), normalised)


def score_vlmevalkit(item: Item, answer: str) -> Verdict:
    """The inferred option letter, or a whole answer that is the number; a list is never right."""
    if item.options:
        letter = read_vlmevalkit(item, answer)
        return UNPARSED if letter is None else Verdict(float(letter == item.answers[0]), letter)
    read = {"integer": int, "float": float}.get(item.facts.get("answer_type", "text"))
    try:
        return UNPARSED if read is None else Verdict(float(read(answer) == read(item.answers[0])), answer.strip())
    except ValueError:
        return UNPARSED


def extract(item: Item, answer: str, quick: bool = False) -> str | None:
    """What the official extraction finds before it asks its judge; None where it would.

    Args:
        quick: also take what stands between the quotes of `The answer is "...".`, an option of the official script.
    """
    if answer == "" or answer in item.options:
        return answer
    try:
        match item.facts.get("answer_type"):
            case "integer":
                return str(int(answer))
            case "float":
                return str(float(answer))
    except ValueError:
        pass
    quoted = re.search(r'The answer is "(.*)"\.', answer) if quick else None
    return quoted.group(1) if quoted else None


def normalise_extraction(item: Item, extraction: object) -> str | None:
    """An option's text, or a number as the gold answers are written; None where it is no number.

    With options anything becomes one of them: the letter in brackets, a bare letter, or the option with the least edit
    distance, the first of equals; even an empty extraction. Integers are cut, not rounded.
    """
    if item.options:
        return _nearest_option(item, str(extraction).strip())
    try:
        match item.facts.get("answer_type"):
            case "integer":
                return str(int(float(extraction)))  # type: ignore[arg-type]
            case "float":
                return str(round(float(extraction), int(item.facts["precision"])))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return None if extraction is None else str(extraction)


def gold_text(item: Item) -> str:
    """The gold answer as the normalised extraction spells it: the text of the gold option, or the answer itself."""
    gold = item.answers[0]
    return item.options[ord(gold) - ord("A")] if item.options else gold


def _normalised(item: Item, answer: str) -> str | None:
    extraction = extract(item, answer)
    return None if extraction is None else normalise_extraction(item, extraction)


def _nearest_option(item: Item, extraction: str) -> str:
    bracketed = _LETTER.search(extraction)
    said = bracketed.group(1).upper() if bracketed else extraction
    if len(said) == 1 and 0 <= ord(said) - ord("A") < len(item.options):
        return item.options[ord(said) - ord("A")]
    return min(item.options, key=lambda option: edit_distance(said, option))
