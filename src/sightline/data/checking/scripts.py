"""Which script a text is written in: Latin, Han, Arabic and so on, by most of its letters."""

from __future__ import annotations

import re

SCRIPTS = {
    "Latin": "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrillic": "\u0400-\u052f",
    "Armenian": "\u0530-\u058f",
    "Hebrew": "\u0590-\u05ff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Telugu": "\u0c00-\u0c7f",
    "Thai": "\u0e00-\u0e7f",
    "Georgian": "\u10a0-\u10ff",
    "Ethiopic": "\u1200-\u137f",
    "Khmer": "\u1780-\u17ff",
    "Japanese kana": "\u3040-\u30ff",
    "Hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
}
OTHER, NONE = "another script", "no letters"
_PATTERNS = {name: re.compile(f"[{ranges}]") for name, ranges in SCRIPTS.items()}
_LATIN_ASCII = re.compile("[A-Za-z]")


def script_of(text: str) -> str:
    """The script of most letters of a text; a text with kana counts as Japanese, whatever Han it holds."""
    if text.isascii():
        return "Latin" if _LATIN_ASCII.search(text) else NONE
    counts = {name: len(pattern.findall(text)) for name, pattern in _PATTERNS.items()}
    if counts["Japanese kana"]:
        counts["Japanese kana"] += counts["Han"]
    best = max(counts, key=lambda name: counts[name])
    if counts[best]:
        return best
    return OTHER if any(letter.isalpha() for letter in text) else NONE
