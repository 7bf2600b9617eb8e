"""Find options by their text, numbers and formulas in any spelling."""

from __future__ import annotations

import re

from sightline.evaluation.scorers.verdicts import letters_of
from sightline.evaluation.task import Item

_FRACTION = re.compile(r"\\d?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*\{?([^{}]*)\}?|√\s*[{(]?(\w+)[})]?|sqrt\((\w+)\)")
_SIDE_CLAUSE = re.compile(r",?\s(?:because|since|as|which|while|whereas|but|than|and not|rather)\b|,\s*not\b|[;(]")
_CONDITION = re.compile(r"^\W*(?:if|when|as|since|because|while|although)\b[^,]*,", re.IGNORECASE)
_PRONOUN = re.compile(r"^it\s+(?=\w+\s+\w)")
_PREDICATE = re.compile(r"\b(?:is|are|was|were|be|equals?)\b|[=≈:]")
_NOT_AFTER = r"(?<![\w.,/√^+\-−])(?<!\bnot )(?<!\bnot a )(?<!\bnot an )(?<!\bnot the )(?<!n't )(?<!n't the )(?<!n't a )"
_ENDING = r"(?:(?<=[a-z]{4})[bgmnp]?(?:ed|ing))?"
_NOT_BEFORE = r"(?!\w|[/√^]|\s*[\-−+×]\s*\d|[.,:]\d)"


def option_at_start(item: Item, text: str, whole: bool = False) -> str | None:
    """The letter of the one option whose text opens the text (or is all of it), the longest of several."""
    said, options = _spelled(text), _options(item)
    opening = [
        (len(option), letter)
        for letter, option in options
        if option and (said == option if whole else re.match(re.escape(option) + _NOT_BEFORE, said))
    ]
    longest = max(opening, default=(0, ""))[0]
    letters = [letter for length, letter in opening if length == longest]
    joined = re.match(r"\s*(?:or|and|/)\s+", said[longest:])
    rest = said[longest + joined.end() :] if joined else ""
    if len(letters) != 1 or (rest and any(rest.startswith(option) for _, option in options)):
        return None
    return letters[0]


def only_option_in(item: Item, sentence: str) -> str | None:
    """The letter of the one option whose text occurs; "" for several, None for none.

    Where several occur, the one that the main clause says of its subject: "Of A and B it is B, as A is no fish".
    """
    said = _occurring(item, sentence)
    if len(said) > 1:
        clause = _SIDE_CLAUSE.split(_CONDITION.sub("", sentence))[0]
        said = _occurring(item, _PREDICATE.split(clause)[-1]) or said
    return (said.pop() if len(said) == 1 else "") if said else None


def _occurring(item: Item, sentence: str) -> set[str]:
    """Letters of the options whose text occurs and is no part of another option that occurs there."""
    said = _spelled(sentence)
    spans = [
        (match.start(), match.end(), letter)
        for letter, option in _options(item)
        if option
        for match in re.finditer(_NOT_AFTER + re.escape(option) + _ENDING + _NOT_BEFORE, said)
    ]
    return {
        letter
        for start, end, letter in spans
        if not any(other[0] <= start and end <= other[1] and end - start < other[1] - other[0] for other in spans)
    }


def _options(item: Item) -> list[tuple[str, str]]:
    return [
        (letter, _PRONOUN.sub("", _spelled(option)))
        for letter, option in zip(letters_of(item), item.options, strict=True)
    ]


def _spelled(text: str) -> str:
    """Lower case, formulas flat, single blanks, no marks but those that numbers and formulas need."""
    flat = _FRACTION.sub(r"\1/\2", text.lower())
    flat = _ROOT.sub(lambda root: "√" + (root[1] or root[2] or root[3] or ""), flat)
    flat = flat.replace("\\pi", "π").replace("\\circ", "").replace("^{}", "").replace("\\%", "%")
    flat = re.sub(r"\\(?:text|textbf|mathrm|mathbf|left|right|boxed|,|;|!|\(|\)|\[|\])", "", flat)
    flat = re.sub(r"[*_`\"“”‘’;!?\\{}$°()\[\]]|\bdegrees?\b", " ", flat)
    flat = re.sub(r"(?<=\d)\.0+(?!\d)", "", flat)
    flat = re.sub(r"(?<=\d)\s*(?:meters?|metres?)\b", "m", flat)
    flat = re.sub(r"(?<=[\dπ])\s+(?=(?:cm|mm|km|m)\b)", "", flat)
    flat = re.sub(r"\b(?:would|may|might)(?:\s+likely)?\b|\bwill\s+likely\b", "will", flat.replace("&", " and "))
    flat = re.sub(r"(?<=[a-z]{3}[^\Ws])s\b", "", flat)
    flat = re.sub(r"[.,:](?!\d)|(?<!\d)[,:]", " ", flat)
    flat = re.sub(r"\s*([-−–/=<>])\s*", r"\1", flat).replace("−", "-").replace("–", "-")
    return " ".join(flat.split()).strip("'=-^ ") if len(flat.strip()) > 1 else flat.strip()
