"""Find the number that a text comes to among all those that it mentions, or the one that its question asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from sightline.scoring.final_answer import FOREIGN_CUES, boxed, corrected, refuses, sentences
from sightline.scoring.number_words import spelled

# Patterns read numbers as `spelled` writes them.
_DIGITS = r"(?:[$€£¥₹]\s?)?(?:\d+(?:\.\d+)?|\.\d+)(?!\d)"
# What makes one of several numbers, mostly one that no digits can say: a fraction, a range, alternatives, a ratio, a
# date, a time, a sum that is not worked out.
_WORD_JOINS = r"(?:\b(?:(?:up\s+)?to|x|or|bis|oder|ou|o|или|à)\b|至|到|或|または|또는)"
_JOINS = rf"(?:\s?%)?(?:\s?(?:[/~×+–-]|\*(?!\*))\s?|:|\s:\s|\s?{_WORD_JOINS}\s?)"
_OR = re.compile(r"\s?\b(?:or|oder|ou|o|или)\b\s?|\s?(?:或|または|또는)\s?", re.IGNORECASE)
_AND = r"(?:and|et|y|e|und)"
_BETWEEN = rf"\b(?:between|entre|zwischen)\s+{_DIGITS}%?\s+{_AND}\s+{_DIGITS}"
# What behind it makes a number part of a formula or a bound.
_INEXACT = (
    r"(?:\(\d+\s*[-+*/]|\s?(?:[+×·-]\s?)?[π√]\d*|(?:\s?[+-]\s?\d*)?[xyzn]\b|\+(?!\s?\d)"
    r"|\s?(?:\b(?:or\s+(?:more|fewer|less)|oder\s+mehr|o\s+más|ou\s+(?:plus|mais))\b|以上|以下|이상|이하))?"
)
_NUMBER = (
    rf"(?:{_BETWEEN}|(?<![A-Za-z\d_.^√])(?:(?<!\d)(?<!\d\s)-\s?)?{_DIGITS}(?:{_JOINS}{_DIGITS})*{_INEXACT})"
    r"(?!\s*(?:decimal|significant|sig))"
)
ANY_NUMBER = re.compile(_NUMBER, re.IGNORECASE)
_CURRENCY = re.compile(r"[$€£¥₹]")
_FRACTION = re.compile(r"(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)")
_SCALES = {
    **dict.fromkeys(("%", "percent", "per cent", "pct", "prozent"), Fraction(1, 100)),
    **dict.fromkeys(("k", "thousand", "tausend", "тысяч", "тысячи"), Fraction(10**3)),
    **dict.fromkeys(("万", "萬"), Fraction(10**4)),
    **dict.fromkeys(
        "million millions millionen millones milioni milhões миллион миллиона миллионов".split(), Fraction(10**6)
    ),
    **dict.fromkeys(("亿", "億"), Fraction(10**8)),
    **dict.fromkeys(("billion", "billions", "bn", "milliarden", "milliards"), Fraction(10**9)),
    "trillion": Fraction(10**12),
}
_SCALE = re.compile(rf"\s?({'|'.join(sorted(_SCALES, key=len, reverse=True))})(?![A-Za-z])", re.IGNORECASE)
_OUT_OF = re.compile(r"\s+out\s+of\s+(?:the\s+)?([1-9]\d*)\b", re.IGNORECASE)
_BOLD = re.compile(rf"\*\*[^*\n]*?({_NUMBER})[^*\n]*\*\*", re.IGNORECASE)
_ANSWER_IS = re.compile(
    r"\b(?:answer|final\s+(?:answer|value|result))\b(?:[^.\n\d]{0,40}?\b(?:is|are|be)\b|\s*[:=])|答案\w?\s*[:：是为]?"
    rf"|{FOREIGN_CUES}",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"\W*(?:therefore|thus|hence|so|in\s+(?:conclusion|total|summary)|finally|also|donc|entonces|quindi|portanto"
    r"|итак|所以|因此|よって|따라서)\b",
    re.IGNORECASE,
)
# What stands directly before a number that is the value of something, and before one that is not.
_STATES = re.compile(
    r"(?:\b(?:is|are|was|were|be|been|equals?|equal\s+to|has|have|had|needs?|approaches|gives?|get|total\s+of|sum\s+of"
    r"|sind|beträgt|gibt|sont|hay|son|sono|são|il\s+y\s+a)"
    r"|[=≈:：是为])[\s*$\\(]*"
    r"(?:(?:approximately|about|around|roughly|only|exactly|also|still|a|an|the|now|just|at|to|by)[\s*]+)*$",
    re.IGNORECASE,
)
_BOUNDS = (
    "than below above under over at\\s+least at\\s+most up\\s+to mindestens höchstens als über unter au\\s+moins "
    "au\\s+plus (?:plus|moins|más|menos|mais)\\s+d[eo] (?:più|meno)\\s+di al\\s+menos almeno pelo\\s+menos более менее"
).split()
# "At least 3" is a bound, "step 3" a name, "not 3" denied: none is a value.
NO_VALUE = re.compile(
    rf"\b(?:{'|'.join(_BOUNDS)}|step|question|figure|fig|message)[\s*.(]*(?:the\s+)?$"
    r"|(?:\b(?:of\s+which|of\s+whom|including|davon|dont)|其中|うち)\s*$|(?:至少|最多|超过|不到|少于|多于|少なくとも|최소|적어도)\s*$|[≤≥]\s*$|(?<=[^=\s-])\s*[<>]\s*$|(?<!\w)>$"
    r"|(?:\b(?:not|nicht|pas|не)|n['’]t|不是|并非)\s*(?:be\s+|see\s+|have\s+)?$",
    re.IGNORECASE,
)
_LIMITS = re.compile(
    r"\b(?:than|below|above|under|over|at|least|most|from|since|until|between|year|step|question|figure|fig|exactly|"
    r"past|day|row|column|age|message|number|out\s+of)[\s*.(]*(?:the\s+)?$",
    re.IGNORECASE,
)
# "3 dogs (2 brown, 1 black)": what follows the opening number explains it.
_EXPLAINED = re.compile(
    r"[\s*]*+(?:[^\W\d]++[\s*]*+){0,3}(?:[(—]|:(?=\D*\d\D+\d)|,\s*(?:because|since|as|of\s+which|including|counting)\b)"
)
_EITHER = re.compile(r"\b(?:or|oder|ou)\b|或|または", re.IGNORECASE)
_GOES_ON = re.compile(rf"\s*(?:,\s+|,?\s*(?:{_AND}|&|和)\s*){_DIGITS}(?!\s+of\b)", re.IGNORECASE)
# "2 red and 1 blue, so 3": what a sentence comes to at its end.
_COMES_TO = re.compile(
    r"[,;]\s*(?:and\s+)?(?:so|thus|hence|therefore|making|giving|totall?ing|for\s+a\s+total\s+of|which\s+(?:makes|gives))\b"
    r"(?=\D*\d)(?!.*\b(?:more|fewer|less)\b)",
    re.IGNORECASE,
)
_NEAR = 80
_MAX_DIGITS = 60
_YEAR = re.compile(r"(?:1[89]|20)\d\d")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Number:
    """A number that a text says.

    Attributes:
        written: as it stands, without currency and commas: "1234.5", "3/4"; what a judge would write down.
        value: what it comes to; None where that is no single value: ranges, alternatives, dates, times.
        scale: what its unit makes of it: 1/100 for per cent, a million for "million", 1/5 for "out of 5".
        currency: its sign, where it has one.
    """

    written: str
    value: Fraction | None
    scale: Fraction = Fraction(1)
    currency: str = ""

    def values(self) -> tuple[Fraction, ...]:
        """What it may be compared by: "2.5 million" is 2.5 where the question gives the unit, else 2,500,000."""
        return () if self.value is None else (self.value, self.value * self.scale)


def read_number(text: str) -> Number | None:
    """The number that a text comes to; None where it comes to none, or to several.

    Asked in this order: LaTeX's box, what follows the last "answer is", sentences that conclude, have bold numbers, or
    state a value, the last first. Sentences up to the last refusal are not asked, nor what the text itself corrects.

    >>> read_number("There are 3 bars below 40. Therefore, the answer is three.").written
    '3'
    >>> read_number("The age cannot be determined from the 2 faces."), read_number("3 or 4")
    (None, None)
    """
    number = _number_in(spelled(text))
    return None if number is None or number.value is None else number


def number_of(token: str, behind: str = "") -> Number:
    """The number that a match of ANY_NUMBER is; its scale stands in what follows it.

    Alternatives are one number where they say the same: "3/10 or 30%".
    """
    *others, last = _OR.split(token)
    told = [*map(_single, others), _single(last, behind)]
    same = all(any(_near(one, two) for one in number.values() for two in told[0].values()) for number in told)
    return told[0] if same or not others else Number(token, None)


def _single(token: str, behind: str = "") -> Number:
    bare = re.sub(r"[$€£¥₹\s]", "", token)
    scale = _SCALE.match("%" if bare.endswith("%") else behind)
    whole = _OUT_OF.match(behind)
    bare = bare.rstrip("%")
    share = _FRACTION.fullmatch(bare.removeprefix("-"))
    value = None
    if len(bare) > _MAX_DIGITS:
        return Number(bare, None)
    if share and Fraction(share[2]):
        value = Fraction(share[1]) / Fraction(share[2]) * (-1 if bare.startswith("-") else 1)
    elif re.fullmatch(r"-?(?:\d+(?:\.\d+)?|\.\d+)", bare):
        value = Fraction(bare)
    currency = _CURRENCY.search(token + behind[:2])
    factor = _SCALES[scale[1].lower()] if scale else Fraction(1, int(whole[1])) if whole else Fraction(1)
    return Number(bare, value, factor, currency.group() if currency else "")


def _near(one: Fraction, two: Fraction) -> bool:
    return abs(one - two) <= abs(one) / 200


@lru_cache(maxsize=4096)
def whole_number(text: str) -> Number | None:
    """The number that all of a text is, with a currency, a percent sign or a scale; None where it says more.

    Digits that begin with zeros are a code and no number.
    """
    plain = spelled(text).strip(" \t\n.*").removesuffix("-").strip()
    found = ANY_NUMBER.match(plain)
    if found is None or re.match(r"-?0\d", plain):
        return None
    number = number_of(found.group(), plain[found.end() :])
    scale = _SCALE.match(plain[found.end() :])
    rest = plain[found.end() + (scale.end() if scale else 0) :]
    return number if number.value is not None and not rest.strip(" $€£¥₹") else None


def same_number(one: str, two: str) -> bool:
    """Whether two texts are the same number, however it is written: "$1,200" and "1200", "75%" and "0.75".

    >>> same_number("3.0", "3"), same_number("12%", "12 %"), same_number("07", "7"), same_number("$5", "€5")
    (True, True, False, False)
    """
    first, second = whole_number(one), whole_number(two)
    if first is None or second is None:
        return False
    currencies = {number.currency for number in (first, second)} - {""}
    return len(currencies) < 2 and not set(first.values()).isdisjoint(second.values())


def has_number(text: str) -> bool:
    """Whether a number occurs, with or without a single value."""
    return ANY_NUMBER.search(spelled(text)) is not None


def _number_in(text: str) -> Number | None:
    box = boxed(text)
    if box is not None and (number := _value_in(spelled(box))) is not None:
        return number
    latest = corrected(text)
    if latest and (number := _number_in(latest)) is not None:
        return number
    for cue in reversed(list(_ANSWER_IS.finditer(text))):
        behind = sentences(text[cue.end() :])
        if behind and (number := _value_in(behind[0])) is not None:
            return number
    telling, rest = _telling(text)
    values = (_value_in(sentence) for sentence in telling)
    if number := next((value for value in values if value is not None), None):
        return number
    mentioned = {value for value in map(_value_in, rest) if value is not None}
    return mentioned.pop() if len(mentioned) == 1 else None


def _telling(text: str) -> tuple[list[str], list[str]]:
    """Sentences that tell a value in the order in which they are asked for it, and all that may."""
    stated = [sentence for sentence in sentences(text) if not sentence.endswith("?")]
    refusing = [index for index, sentence in enumerate(stated) if refuses(sentence)]
    told = stated[refusing[-1] + 1 :] if refusing else stated
    backwards = told[::-1]
    closing = told[-1:] if len(told) > 1 and _is_bare(told[-1]) and not _is_bare(told[-2]) else []
    telling = [
        *closing,
        *(sentence for sentence in backwards if _CONCLUSION.match(sentence)),
        *(sentence for sentence in told if _BOLD.search(sentence)),
        *(sentence for sentence in backwards if any(map(_is_stated, ANY_NUMBER.finditer(sentence)))),
    ]
    return telling, told


def _value_in(sentence: str) -> Number | None:
    """The last bold number, else the opening one that the others explain, else the last stated one, else the only one.

    Where several are left the sentence has no single value, money and what limits nothing aside.
    """
    if bold := list(_BOLD.finditer(sentence)):
        return number_of(bold[-1][1], sentence[bold[-1].end(1) :])
    if comes_to := _COMES_TO.search(sentence):
        return _value_in(sentence[comes_to.end() :])
    numbers = [number for number in ANY_NUMBER.finditer(sentence) if not NO_VALUE.search(_before(number))]
    if numbers and _opens(numbers[0]):
        return _read(numbers[0])
    if stated := [number for number in numbers if _is_stated(number)]:
        return Number(sentence, None) if _are_several(stated) else _read(stated[-1])
    free = [number for number in numbers if not _only_limits(number)]
    money = [number for number in free if "$" in number.group()]
    values = {_read(number) for number in (money if len(money) == 1 else []) or free or numbers}
    return values.pop() if len(values) == 1 else Number(sentence, None) if values else None


def _is_bare(sentence: str) -> bool:
    return ANY_NUMBER.fullmatch(sentence.strip(" *.$")) is not None


def _read(number: re.Match[str]) -> Number:
    return number_of(number.group(), number.string[number.end() : number.end() + _NEAR])


def _opens(number: re.Match[str]) -> bool:
    alone = not _before(number).strip(" \t*") and _YEAR.fullmatch(number.group().strip()) is None
    return alone and _EXPLAINED.match(number.string, number.end()) is not None


def _are_several(stated: list[re.Match[str]]) -> bool:
    """Whether stated numbers are answers side by side: "a: 3, b: 4", "x = 3 or x = -2", "are 3 and 4"."""
    labelled = {_read(number) for number in stated if _before(number).rstrip().endswith(":")}
    ends = [number.end() for number in stated]
    between = stated[-1].string[ends[-2] : stated[-1].start()] if len(stated) > 1 else ""
    goes_on = _GOES_ON.match(stated[-1].string, ends[-1])
    return len(labelled) > 1 or goes_on is not None or _EITHER.search(between) is not None


def _before(number: re.Match[str]) -> str:
    """What stands before a number, as far as it can matter: answers that repeat themselves have thousands."""
    return number.string[max(0, number.start() - _NEAR) : number.start()]


def _is_stated(number: re.Match[str]) -> bool:
    return _STATES.search(_before(number)) is not None


def _only_limits(number: re.Match[str]) -> bool:
    before, said = _before(number), number.group().strip()
    is_year = _YEAR.fullmatch(said) is not None and before.lower().endswith("in ")
    is_place = _ORDINAL.match(number.string[number.end() :]) is not None
    return is_year or is_place or said[0].isalpha() or _LIMITS.search(before) is not None


_BLANK = re.compile(r"(?:\(_+\)|_{2,})\s*(\w+(?:\s+\w+){1,2})")
_WHICH_YEAR = re.compile(r"\b(?:which|what)\s+year\b|^\s*when\b", re.IGNORECASE)
_YEAR_ALONE = re.compile(r"(?<![\w.,$€£])(?:1[89]|20)\d\d(?!\w|[.,]\d)")
_HOW_MANY = re.compile(r"\bhow\s+many\s+(?:of\s+the\s+|more\s+|other\s+|different\s+)*([a-z'’-]+?)s?\b", re.IGNORECASE)
_COMPARES = re.compile(r"\b(?:least|most|between|exactly|of\s+(?:the|all|these|those))\s*$", re.IGNORECASE)
_CONCLUDES = re.compile(r"\b(?:answer|total|therefore|thus|hence|so)\b|=", re.IGNORECASE)
_NONE = re.compile(
    r"\W*(?:none|nil|no\s+[\w-]+(?:\s+[\w-]+)?|没有[^。，]{0,8}|keine?[rn]?|aucune?|ninguno|nessuno)\W*", re.IGNORECASE
)
_NO_SUCH = r"\b(?:no|(?:not|\w+n['’]t)\s+(?:\w+\s+)?any)\s+(?!other|more|further|additional)(?:[\w-]+\s+)?{thing}s?\b"


def read_asked_number(question: str, text: str) -> Number | None:
    """The number that the text gives in the question's words, else the one that it comes to.

    >>> read_asked_number("It has 9 dots. There are (_) dots in each row.", "9 dots, with 3 dots in each row.").written
    '3'
    >>> read_asked_number("Which year has more rain?", "It was 2016, with 94 days.").written
    '2016'
    >>> read_asked_number("How many items sold more than 5 units?", "In it, 10 items sold more than 5 units.").written
    '10'
    """
    said = read_number(text)
    if blank := _BLANK.search(question):
        return _first_before(blank[1], spelled(text)) or said
    if _WHICH_YEAR.search(question):
        years = _YEAR_ALONE.findall(text)
        only_one = len(set(years)) == 1 and not refuses(text)
        return number_of(years[0]) if only_one or (years and said and said.written not in years) else said
    if counted := _HOW_MANY.search(question):
        if _says_none(counted[1], text):
            return number_of("0")
        if not _CONCLUDES.search(text):
            counts = _counts(counted[1], spelled(text))
            if len(counts) > 1 and (said is None or 2 * (said.value or 0) != sum(one.value or 0 for one in counts)):
                return None  # several kinds, and nothing that is all of them
            return counts.pop() if len(counts) == 1 else said
    return said


def _says_none(thing: str, text: str) -> bool:
    """Whether all of the text is "none", or it says that there is no such thing, and no number or at last."""
    if _NONE.fullmatch(text):
        return True
    last = (sentences(text) or [""])[-1]
    if refuses(text) or (has_number(text) and not _CONCLUDES.match(last)):
        return False
    return re.search(_NO_SUCH.format(thing=re.escape(thing)), last, re.IGNORECASE) is not None


def _first_before(words: str, text: str) -> Number | None:
    phrase = r"\s+".join(map(re.escape, words.split()))
    found = re.search(rf"({ANY_NUMBER.pattern})\**\s+{phrase}\b", text, re.IGNORECASE)
    number = number_of(found[1]) if found else None
    return number if number and number.value is not None else None


def _counts(thing: str, text: str) -> set[Number]:
    """The numbers before the thing that is counted; those without a single value are none."""
    count = re.compile(rf"({ANY_NUMBER.pattern})\**(?:\s+[a-z-]+){{0,2}}?\s+\**{re.escape(thing)}s?\b", re.IGNORECASE)
    told = " \n".join(sentence for sentence in sentences(text) if not sentence.endswith("?"))
    said = {number_of(found[1]) for found in count.finditer(told) if not _compares(told[: found.start()])}
    return {number for number in said if number.value is not None}


def _compares(before: str) -> bool:
    return _COMPARES.search(before) is not None or NO_VALUE.search(before) is not None
