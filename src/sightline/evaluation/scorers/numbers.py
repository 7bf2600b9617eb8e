"""Find the number that a text comes to among all those that it mentions."""

from __future__ import annotations

import re

from sightline.evaluation.scorers.final_answer import boxed, refuses, sentences

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+"
# With its sign and currency; a fraction, ratio or range is one number, which no digits can say.
_NUMBER = (
    rf"(?<![\w.^])(?:(?<!\d)(?<!\d\s)[-−–]\s?)?(?:[$€£]\s?)?(?:{_DIGITS})(?!\d)"
    r"(?:\s?[/:]\s?\d+|[-–]\d+)*(?!\s*(?:decimal|significant|sig))"
)
_UP_TO_TWENTY = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty
""".split()
_WORDS = {word: number for number, word in enumerate(_UP_TO_TWENTY)}
ANY_NUMBER = re.compile(rf"{_NUMBER}|\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_BOLD = re.compile(rf"\*\*[^*\n]*?({_NUMBER})[^*\n]*\*\*", re.IGNORECASE)
_ANSWER_IS = re.compile(
    r"\b(?:answer|final\s+(?:answer|value|result))\b(?:[^.\n\d]{0,40}?\b(?:is|are|be)\b|\s*[:=])|答案\w?\s*[:：是为]?",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"\W*(?:therefore|thus|hence|so|in\s+(?:conclusion|total|summary)|finally|所以|因此)\b", re.IGNORECASE
)
# What stands directly before a number that is the value of something, and before one that is not.
_STATES = re.compile(
    r"(?:\b(?:is|are|was|were|be|been|equals?|equal\s+to|has|have|had|needs?|approaches|gives?|get|total\s+of|sum\s+of)"
    r"|[=≈:：是为])[\s*$\\(]*"
    r"(?:(?:approximately|about|around|roughly|only|exactly|also|still|a|an|the|now|just|at|to|by)[\s*]+)*$",
    re.IGNORECASE,
)
_LIMITS = re.compile(
    r"\b(?:than|below|above|under|over|at|least|most|from|since|until|between|year|step|question|figure|fig|exactly|"
    r"past|day|row|column|age|message|number)[\s*.(]*(?:the\s+)?[$€£]?$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:1[89]|20)\d\d")


def read_number(text: str) -> str | None:
    """The number as digits without thousands commas, currency and unit; None where the text comes to none.

    Asked in this order: LaTeX's box, what follows the last "answer is", sentences that conclude, have bold numbers, or
    state a value, the last first. Sentences up to the last refusal are not asked.

    >>> read_number("There are 3 bars below 40. Therefore, the answer is three.")
    '3'
    >>> read_number("The age cannot be determined from the 2 faces.")
    """
    box = boxed(text)
    if box is not None and (number := _value_in(box)) is not None:
        return number
    for cue in reversed(list(_ANSWER_IS.finditer(text))):
        behind = sentences(text[cue.end() :])
        if behind and (number := _value_in(behind[0])) is not None:
            return number
    values = (_value_in(sentence) for sentence in _telling(text))
    return next((value for value in values if value is not None), None)


def _telling(text: str) -> list[str]:
    """Sentences in the order in which they are asked for a value; some twice."""
    stated = [sentence for sentence in sentences(text) if not sentence.endswith("?")]
    refusing = [index for index, sentence in enumerate(stated) if refuses(sentence)]
    told = stated[refusing[-1] + 1 :] if refusing else stated
    backwards = told[::-1]
    return [
        *(sentence for sentence in backwards if _CONCLUSION.match(sentence)),
        *(sentence for sentence in told if _BOLD.search(sentence)),
        *(sentence for sentence in backwards if any(map(_is_stated, ANY_NUMBER.finditer(sentence)))),
        *backwards,
    ]


def _value_in(sentence: str) -> str | None:
    """The last bold number, else the last stated one, else the only sum of money, else the last that limits nothing."""
    if bold := _BOLD.findall(sentence):
        return digits(bold[-1])
    numbers = list(ANY_NUMBER.finditer(sentence))
    free = [number for number in numbers if not _only_limits(number)]
    money = [number for number in free if "$" in number.group()]
    chosen = (
        [number for number in numbers if _is_stated(number)] or (money if len(money) == 1 else []) or free or numbers
    )
    return digits(chosen[-1].group()) if chosen else None


def _is_stated(number: re.Match[str]) -> bool:
    return _STATES.search(number.string[: number.start()]) is not None


def _only_limits(number: re.Match[str]) -> bool:
    before = number.string[: number.start()]
    is_year = _YEAR.fullmatch(number.group().strip()) is not None
    return _LIMITS.search(before) is not None or (is_year and before.lower().endswith("in "))


def digits(number: str) -> str:
    if number.lower() in _WORDS:
        return str(_WORDS[number.lower()])
    return re.sub(r"[,$€£\s]", "", number).replace("−", "-").replace("–", "-")
