"""Score MathVista by its official steps without a judge, and as lmms-eval and VLMEvalKit do.

MathVista and lmms-eval ask GPT-4 what an answer says; here rules of language read it. The official normalisation stays
under their names, which makes an option of anything; `strict` leaves such answers unparsed.

Sources, described step by step: lupantech/MathVista evaluation/extract_answer.py and calculate_score.py at 53d5258;
lmms-eval 0.7.3 tasks/mathvista; VLMEvalKit dataset/utils/mathvista.py at e8e78f0.
"""

from __future__ import annotations

import re
from fractions import Fraction

from sightline.scoring.choices import read_vlmevalkit
from sightline.scoring.final_answer import after_reasoning, refuses, sentences
from sightline.scoring.multiple_choice import read_strict
from sightline.scoring.numbers import Number, read_asked_number, whole_number
from sightline.scoring.records import UNPARSED, Item, Verdict, matching
from sightline.scoring.short_answers import edit_distance
from sightline.scoring.yes_no import denies

_SAID_LETTER = re.compile(
    r"(?i:\b(?:answer|option\s+letter|letter)\b[^.\n:]{0,40}?(?:\bis\b|:))[\s*(]*([A-Z])\b(?!['’])"
)
_LACKS = re.compile(
    r"Sorry\b|(?:the|this)\s+\w+\s+(?:does\s+not|doesn['’]t)\s+provide\s+"
    r"(?:enough|(?:the\s+|any\s+)?(?:\w+\s+)?information)\b",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"(?:therefore|thus|so)\b", re.IGNORECASE)
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_LIST = re.compile(r"\[[^\[\]]*\]")

_score_choice = matching(read_strict)


def score_strict(item: Item, answer: str) -> Verdict:
    """The chosen option, or the value written as the gold answers are; nothing becomes an option that is none.

    A value that is none of these, such as 4/3 where an integer is asked for, is wrong.
    """
    if item.options:
        return _score_choice(item, answer)
    if item.facts.get("answer_type") in ("integer", "float"):
        return _score_number(item, read_asked_number(item.question, after_reasoning(answer)))
    said = extract_by_rules(item, answer)
    return UNPARSED if said is None else Verdict(float(normalise_extraction(item, said) == gold_text(item)), said)


def score_official(item: Item, answer: str) -> Verdict:
    """Extract, normalise, and compare to the letter."""
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


def extract_by_rules(item: Item, answer: str) -> str | None:
    """What the judge is asked for: the chosen letter, or the value; None where there is none.

    Of an answer that chooses no option it is what the judge writes then, which may be anything.
    """
    text = after_reasoning(answer)
    if item.facts.get("answer_type") == "list":
        return read_list(text)
    if not item.options:
        number = read_asked_number(item.question, text)
        return None if number is None else number.written
    return read_strict(item, answer) or _without_choice(item, text)


def read_list(text: str) -> str | None:
    """The last list in square brackets."""
    lists = _LIST.findall(text)
    return lists[-1] if lists else None


def gold_text(item: Item) -> str:
    """The gold answer as the normalised extraction spells it: the text of the gold option, or the answer itself."""
    gold = item.answers[0]
    return item.options[ord(gold) - ord("A")] if item.options else gold


def _score_number(item: Item, number: Number | None) -> Verdict:
    """Right where the value is the gold integer, or rounds to the gold float; a share also as per cent."""
    if number is None:
        return UNPARSED
    gold, places = whole_number(item.answers[0]), item.facts.get("precision")
    values = [value if places is None else Fraction(str(round(float(value), int(places)))) for value in number.values()]
    return Verdict(float(gold is not None and gold.value in values), number.written)


def _normalised(item: Item, answer: str) -> str | None:
    extraction = extract(item, answer)
    if extraction is None:
        extraction = extract_by_rules(item, answer)
    return None if extraction is None else normalise_extraction(item, extraction)


def _without_choice(item: Item, text: str) -> str:
    """A letter beyond the options; of a refusal what GPT-4 makes of it; yes or no; else the last sentence."""
    if said := _SAID_LETTER.findall(text):
        return said[-1]
    told = [sentence for sentence in sentences(text) if not sentence.endswith("?")]
    if told and refuses(text):
        return _refusal(told)
    if told and sorted(map(str.lower, item.options)) == ["no", "yes"]:
        return "no" if denies(text) else "yes"
    return told[-1] if told else ""


def _refusal(told: list[str]) -> str:
    """A plain refusal as it is, the last words about a faulty question, else "N/A"."""
    if _LACKS.match(told[0]) and not any(map(_CONCLUDES.match, told[1:])):
        return told[0]
    return told[-1] if "mistake" in told[-1] else "N/A"


def _nearest_option(item: Item, extraction: str) -> str:
    bracketed = _LETTER.search(extraction)
    said = bracketed.group(1).upper() if bracketed else extraction
    if len(said) == 1 and 0 <= ord(said) - ord("A") < len(item.options):
        return item.options[ord(said) - ord("A")]
    return min(item.options, key=lambda option: edit_distance(said, option))
