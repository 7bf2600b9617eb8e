"""Numbers in one spelling, whoever wrote them: ASCII digits, a decimal point, fractions as a/b, powers worked out."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from sightline.scoring.number_words import may_hold_number, with_digits

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
