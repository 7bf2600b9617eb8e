"""Numbers in one spelling, whoever wrote them: ASCII digits for words of many languages, fractions as a/b."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_LATEX = (
    (re.compile(r"\\[dtc]?frac\s*\{\s*([^{}]+?)\s*\}\s*\{\s*([^{}]+?)\s*\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r" \1/\2"),
    (re.compile(r"\{,\}|\\[,;:! ](?=\d)|~(?=\d{3})"), ","),
    (re.compile(r"\\(?:times|cdot)\b\s*"), "×"),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ|\\degree|°"), ""),
    (re.compile(r"\^\s*\{\s*([-−–]?\d+)\s*\}"), r"^\1"),
    (re.compile(r"\\sqrt\s*\{?([^{}]*)\}?"), r"√\1"),
    (re.compile(r"\\pi\b"), "π"),
    (re.compile(r"\\(?:[gl]eq?|[gl]t)\b"), "≥"),
    (re.compile(r"\\approx\b|\\sim(?:eq)?\b"), "≈"),
    (re.compile(r"\\([%$#&])"), r"\1"),
    (re.compile(r"\\(?:left|right|displaystyle|quad|qquad)\b|\\[,;:!]"), ""),
)
_FULL_WIDTH = str.maketrans("．，％－／＝＋：（）", ".,%-/=+:()")
_SIGN = re.compile(r"(?<![A-Za-z\d_)%])[−–](?=\s?\d)|(?<=\^)[−–](?=\d)")
_POWER_MARK = re.compile(r"(?<=[A-Za-z\d])[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
# Thousands apart: 12 345, 1'234'567, 1,234,567, 12,34,567, 1.234.567 and 1.234,5. Blanks only between two groups of a
# number that stands alone, as "10 200 300" may be three numbers.
_BLANK_GROUPS = re.compile(
    r"(?<![\d.,]\s)(?<![A-Za-z\d_.,])([1-9]\d{0,2})((?:[\u00a0\u2009\u202f'’]\d{3})+|\s\d{3})(?![A-Za-z\d_'’]|\s?\d|,\d{3})"
)
_COMMA_GROUPS = re.compile(r"(?<![A-Za-z\d_.,])([1-9]\d{0,2}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3})(?![\d,])")
_POINT_GROUPS = re.compile(
    r"(?<![A-Za-z\d_.,])(\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:\.\d{3})+(?=,\d+(?![\d.,])))(?:,(\d+))?(?![\d,])"
)
# 3,5 is three and a half where it can be no list and no thousands: (3,5) and 1,2,3 stay apart.
_DECIMAL_COMMA = re.compile(
    r"(?<![A-Za-z\d_.,(\[{])(?<![,;]\s)(\d+),(\d{1,2}|\d{4,})(?![A-Za-z\d_,)\]}]|\.\d|;)|(?<![A-Za-z\d_.,])(0),(\d+)(?![\d,])"
)
_MIXED = re.compile(r"(?<![\d./,])(\d{1,3})\s+(\d{1,2})\s?/\s?(\d{1,3})(?![\d/.])")
_SCIENTIFIC = re.compile(r"(?<![A-Za-z\d_.^])(-?\d+(?:\.\d+)?)\s*[×x*·⋅]\s*10\s*\^\s*([-+]?\d+)\b")
_EXPONENT = re.compile(r"(?<![A-Za-z\d_.^])(-?\d+(?:\.\d+)?)e([-+]?\d{1,3})\b", re.IGNORECASE)
_POWER = re.compile(r"(?<![A-Za-z\d_.^√])(\d+(?:\.\d+)?)\s*\^\s*([-+]?\d{1,2})(?![A-Za-z\d_.^])")


@lru_cache(maxsize=4096)
def spelled(text: str) -> str:
    """The text with every number as -1234.5 or 3/4, whatever grouping, script, formula or word it was written in.

    >>> spelled("1.234,5 and 12 345 and 2 × 10^3"), spelled("\\\\frac{3}{4}"), spelled("minus three"), spelled("1½")
    ('1234.5 and 12345 and 2000', '3/4', '-3', '3/2')
    """
    if not may_hold_number(text) and "\\" not in text:
        return text.strip()
    flat = re.sub(r"\d", lambda digit: str(unicodedata.decimal(digit.group())), text.translate(_FULL_WIDTH))
    flat = re.sub(
        f"[{_VULGAR}]", lambda share: " " + unicodedata.normalize("NFKC", share.group()).replace("⁄", "/"), flat
    )
    flat = _POWER_MARK.sub(lambda power: "^" + power.group().translate(_SUPERSCRIPTS), flat)
    for pattern, plain in _LATEX:
        flat = pattern.sub(plain, flat)
    return _worked_out(_grouped(_SIGN.sub("-", with_digits(flat)))).strip()


def _grouped(text: str) -> str:
    """Thousands together, and a point for every decimal comma."""
    text = _BLANK_GROUPS.sub(lambda number: re.sub(r"\D", "", number.group()), text)
    text = _POINT_GROUPS.sub(lambda number: number[1].replace(".", "") + (f".{number[2]}" if number[2] else ""), text)
    text = _COMMA_GROUPS.sub(lambda number: number[1].replace(",", ""), text)
    return _DECIMAL_COMMA.sub(lambda number: f"{number[1] or number[3]}.{number[2] or number[4]}", text)


def _worked_out(text: str) -> str:
    """Mixed numbers as fractions, powers and exponents as plain decimals."""
    text = _MIXED.sub(lambda mixed: f"{int(mixed[1]) * int(mixed[3]) + int(mixed[2])}/{mixed[3]}", text)
    text = _SCIENTIFIC.sub(lambda number: _decimal(number, Fraction(number[1]) * _power("10", number[2])), text)
    text = _EXPONENT.sub(lambda number: _decimal(number, Fraction(number[1]) * _power("10", number[2])), text)
    return _POWER.sub(lambda number: _decimal(number, _power(number[1], number[2])), text)


def _power(base: str, exponent: str) -> Fraction:
    if abs(int(exponent)) > 30 or (Fraction(base) == 0 and int(exponent) < 0):
        return Fraction(0)
    return Fraction(base) ** int(exponent)


def _decimal(number: re.Match[str], value: Fraction) -> str:
    """A value as decimal digits; as it was where it would take too many."""
    digits = f"{float(value):.12f}".rstrip("0").rstrip(".")
    return digits if value and abs(Fraction(digits) - value) < abs(value) / 10**9 else number.group()


_UNITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ENGLISH = {word: value for value, word in enumerate([*_UNITS, *_TEENS])} | {
    word: 10 * ten for ten, word in enumerate(_TENS, 2)
}
_FACTORS = {"hundred": 100, "thousand": 1000}
_TO_99 = rf"(?:(?:{'|'.join(_TENS)})(?:[\s-](?:{'|'.join(_UNITS[1:])}))?|{'|'.join([*_TEENS, *_UNITS])})"
_TO_999 = rf"(?:(?:{_TO_99}|an?)\s+hundred(?:\s+(?:and\s+)?{_TO_99})?|{_TO_99})"
_CARDINAL = re.compile(
    rf"\b(?:(?:{_TO_999}|a)\s+thousand(?:,?\s+(?:and\s+)?{_TO_999})?|{_TO_999})\b(?!-)", re.IGNORECASE
)
# "One" is a pronoun here: "One can count", "one of them", "no one", "the one that", "this one."
_PRONOUN_BEFORE = re.compile(r"\b(?:no|each|every|any|another)\s+$", re.IGNORECASE)
_PRONOUN_AFTER = re.compile(
    r"\s+(?:of|can|could|may|might|must|should|would|will|sees|needs|has\s+to|another)\b", re.IGNORECASE
)
_POINTED_AT = re.compile(r"\b(?:the|this|that|which|other|correct|right)\s+$", re.IGNORECASE)
_NO_NOUN = re.compile(r"\s*(?:$|[.,;:!?)]|\s(?:is|was|has|with|on|in|at|to|that|which|who)\b)", re.IGNORECASE)
_DENOMINATORS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4, "fifth": 5,
    "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8, "tenth": 10, "tenths": 10, "hundredth": 100,
    "hundredths": 100, "thousandth": 1000, "thousandths": 1000,
}  # fmt: skip
# "A third" is a share where "of" or nothing follows, and an ordinal in "a third bar".
_FRACTION = re.compile(
    rf"\b({_TO_99}|an?|\d{{1,2}})[\s-]({'|'.join(_DENOMINATORS)})\b(?=\s+of\b|\s*(?:[.,;)*]|$)|(?<=s)\b)", re.IGNORECASE
)
_AND_A_HALF = re.compile(r"(?<=\d)\s+and\s+(?=[1-9]/\d)", re.IGNORECASE)
_POINT = re.compile(r"(?<=\d)\s+point\s+(\d(?:\s\d)*)\b", re.IGNORECASE)
_MINUS = re.compile(
    r"(?<![\w)]\s)(?<![\w)])(?:minus|negative|moins|menos|meno|负|負|マイナス|마이너스|минус)\s*(?=\d)", re.IGNORECASE
)
_DOZEN = re.compile(r"\b(?:(\d+)|an?)\s+dozen\b", re.IGNORECASE)
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth".split()

# German, French, Spanish, Italian, Portuguese, Russian, Korean, Japanese: words that mean nothing else in another.
_FOREIGN = {
    0: "zéro cero ноль",
    1: "один одна 하나 ひとつ",
    2: "zwei deux dois duas два две 둘 ふたつ",
    3: "drei trois tres três tre три 셋 みっつ",
    4: "vier quatre cuatro quatro quattro четыре 넷 よっつ",
    5: "fünf cinq cinco cinque пять 다섯 いつつ",
    6: "sechs seis шесть 여섯",
    7: "sieben siete sete sette семь 일곱",
    8: "acht huit ocho oito восемь 여덟",
    9: "neun neuf nueve nove девять 아홉",
    10: "zehn dix diez dez dieci десять 열 十",
    11: "onze undici одиннадцать",
    12: "zwölf douze doce doze dodici двенадцать",
}
# Articles and words of other languages: numbers only in an answer of a few words, or as all of it.
_IN_FEW_WORDS = {1: "ein eine einen un une uno una uma", 2: "dos", 7: "sept"}
_ALONE = {1: "um eins 일", 2: "due 이", 3: "삼", 4: "사", 5: "오", 6: "sei 육", 7: "칠", 8: "otto 팔", 9: "구",
          10: "십", 11: "once elf"}  # fmt: skip
_FEW_WORDS = 4


def _table(words: dict[int, str]) -> dict[str, int]:
    return {word: value for value, line in words.items() for word in line.split()}


_ANYWHERE, _SHORT, _WHOLE = _table(_FOREIGN), _table(_IN_FEW_WORDS), _table(_ALONE)
_FOREIGN_WORD = re.compile(rf"(?<!\w)(?:{'|'.join([*_ANYWHERE, *_SHORT])})(?!\w|\.?\s?\d)", re.IGNORECASE)

_THERE_IS = re.compile(
    rf"\b(hay|son|veo|il\s+y\s+a|es\s+gibt|es\s+ist|c['’]è|há|vejo)\s+(?:(?:nur|solo|sólo|seulement|só|apenas)\s+)?({'|'.join(_SHORT)})\b",
    re.IGNORECASE,
)
_SINGLE = re.compile(r"^\W*(?:there\s+is\s+)?(?:(?:only|just)\s+)?a\s+single\b", re.IGNORECASE)
_PLACE = re.compile(rf"(?:the\s+)?({'|'.join(_ORDINALS)})(?:\s+\w+)?")

_NUMERALS = {"〇": 0, "零": 0, "两": 2, "兩": 2} | {
    numeral: value for value, numeral in enumerate("一二三四五六七八九", 1)
}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_MEASURES = (
    "个個只隻条條匹头頭辆輛人名位张張本块塊棵架艘件种種次岁歲年元度米厘公克升倍台羽枚册冊杯朵颗粒座家层層行列组組支根双雙"
    "对天小分秒页頁つ"
)
# A numeral in a word ("三角形", "一些", "第三") counts nothing; "是一个" is an article.
_CJK_NUMBER = re.compile(
    rf"(?<![第一二三四五六七八九十百千])(?!(?<=[是为])一[个種种条張张])"
    rf"[〇零一二两兩三四五六七八九十百千]+(?=[{_MEASURES}]|\s*(?:[。．.,，、；;：:）)*\s]|$)"
    rf"|[到至或和][〇零一二两兩三四五六七八九十百千\d])"
)
_KOREAN = {"한": 1, "두": 2, "세": 3, "네": 4}
_KOREAN_NUMBER = re.compile(r"(?<!\w)([한두세네])\s?(?=마리|개|명|대|사람|권|장|살|송이|그루|잔|병|줄)")


_WORDS = [*_ENGLISH, *_FACTORS, *_DENOMINATORS, *_ORDINALS, *_ANYWHERE, *_SHORT, *_WHOLE, "single", "dozen"]
_MAY_HOLD_NUMBER = re.compile(
    rf"[\d¼½¾⅐-⅞⁰-⁹²³¹{''.join([*_NUMERALS, *_PLACES, *_KOREAN])}]|\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE
)


def may_hold_number(text: str) -> bool:
    """Whether a text has anything that could be a number: one look, so that most texts need no other."""
    return _MAY_HOLD_NUMBER.search(text) is not None


def with_digits(text: str) -> str:
    """The text with its number words as digits.

    >>> with_digits("minus twenty-five of two thousand and three, one of them; one half")
    '-25 of 2003, one of them; 1/2'
    """
    digits = _FRACTION.sub(_fraction, _SINGLE.sub("1", text))
    digits = _CARDINAL.sub(_cardinal, digits)
    digits = _foreign(digits)
    digits = _CJK_NUMBER.sub(lambda numeral: str(_cjk(numeral.group())), digits)
    digits = _KOREAN_NUMBER.sub(lambda numeral: str(_KOREAN[numeral[1]]), digits)
    digits = _AND_A_HALF.sub(" ", digits)
    digits = _POINT.sub(lambda point: "." + point[1].replace(" ", ""), digits)
    digits = _DOZEN.sub(lambda dozen: str(12 * int(dozen[1] or 1)), digits)
    return _MINUS.sub("-", digits)


def _cardinal(number: re.Match[str]) -> str:
    if number.group().lower() == "one" and _is_pronoun(number.string[: number.start()], number.string[number.end() :]):
        return number.group()
    total = current = 0
    for word in re.findall(r"[a-z]+", number.group().lower()):
        if word == "thousand":
            total, current = 1000 * max(current, 1), 0
        elif word == "hundred":
            current = 100 * max(current, 1)
        else:
            current += _ENGLISH.get(word, 0)
    return str(total + current)


def _is_pronoun(before: str, behind: str) -> bool:
    pointed_at = _POINTED_AT.search(before) and _NO_NOUN.match(behind)
    return bool(pointed_at or _PRONOUN_BEFORE.search(before) or _PRONOUN_AFTER.match(behind))


def _fraction(share: re.Match[str]) -> str:
    numerator = share[1].lower()
    top = numerator if numerator.isdigit() else "1" if numerator in ("a", "an") else _CARDINAL.sub(_cardinal, numerator)
    return f"{top}/{_DENOMINATORS[share[2].lower()]}"


def _foreign(text: str) -> str:
    bare = text.strip(" \t\n.。!*\"'").lower()
    if bare in _WHOLE or bare == "half":
        return "1/2" if bare == "half" else str(_WHOLE[bare])
    if place := _PLACE.fullmatch(bare):
        return str(_ORDINALS.index(place[1]))
    text = _THERE_IS.sub(lambda there: f"{there[1]} {_SHORT[there[2].lower()]}", text)
    words = _ANYWHERE | _SHORT if len(text.split()) <= _FEW_WORDS else _ANYWHERE
    return _FOREIGN_WORD.sub(lambda word: str(words.get(word.group().lower(), word.group())), text)


def _cjk(numeral: str) -> int:
    if not any(place in numeral for place in _PLACES):
        return int("".join(str(_NUMERALS[one]) for one in numeral))
    total = current = 0
    for one in numeral:
        if one in _PLACES:
            total, current = total + _PLACES[one] * (current or 1), 0
        else:
            current = _NUMERALS[one]
    return total + current
