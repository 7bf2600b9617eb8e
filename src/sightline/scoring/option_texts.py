"""Find options by their text, numbers and formulas in any spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from sightline.scoring.phrases import any_of, finder
from sightline.scoring.records import Item
from sightline.scoring.verdicts import letters_of

_FRACTION = re.compile(r"\\d?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*\{?([^{}]*)\}?|√\s*[{(]?(\w+)[})]?|sqrt\((\w+)\)")
_SIDE_CLAUSE = re.compile(r",?\s(?:because|since|as|which|while|whereas|but|than|and not|rather)\b|,\s*not\b|\(")
_LEADING_CONDITION = re.compile(r"^\W*(?:if|when|as|since|because|while|although)\b[^,]*,", re.IGNORECASE)
_PRONOUN = re.compile(r"^(?:it|he|she|they)\s+(?=\w+\s+\w)")
_PREDICATE = re.compile(r"\b(?:is|are|was|were|be|equals?)\b")
_RESULT = re.compile(r"[=≈:]")
_LATIN = r"0-9A-Za-z_À-ɏЀ-ӿ"
_NOT_AFTER = re.compile(rf"(?<![{_LATIN}.,/√^+\-−])")
_NOT_BEFORE = rf"(?![{_LATIN}]|[/√^]|\s*[\-−+×]\s*\d|[.,:]\d)"
_ENDS = re.compile(_NOT_BEFORE)
_ENDS_OR_BENDS = re.compile(r"(?:(?<=[a-z]{4})[bgmnp]?(?:ed|ing))?" + _NOT_BEFORE)
# A one-letter option is a name and no word: "I" is no quadrant in "I think".
_ENDS_NAME = re.compile(_NOT_BEFORE + r"(?!\s+[a-z]{2}|'[a-z])")
_DENIED = finder("denies", "bounds", after=r"\s*(?:(?:the|an?|la|le|el|il|die|der|das|ein|eine|o|is|be)\s+)*$")
_SUPPOSES = finder("conditions", "hedges", "alternatives")
_RULED_OUT = finder("wrong", before=r"\s*")
_JOINED = re.compile(rf"\s*(?:{any_of('joins')}\s*)*", re.IGNORECASE)
_NEGATIVE = re.compile(r"-[\d.√π]")
_NUMBERED = re.compile(rf"{any_of('option')}\s*\d+\b", re.IGNORECASE)


def option_at_start(item: Item, text: str, whole: bool = False) -> str | None:
    """The letter of the one option whose text opens the text (or is all of it), the longest of several."""
    said, options = _spelled(text), _options(item)
    opening = [
        (len(option), letter)
        for letter, option in options
        if option and (said == option if whole else _opens(option, said))
    ]
    longest = max(opening, default=(0, ""))[0]
    letters = [letter for length, letter in opening if length == longest]
    if len(letters) != 1 or whole:
        return letters[0] if len(letters) == 1 else None
    rest = said[longest:]
    rest = rest[_JOINED.match(rest).end() :]  # type: ignore[union-attr]
    if _is_ruled_out(said, longest):
        return None
    listed = any(option and letter != letters[0] and _opens(option, rest) for letter, option in options)
    return None if listed else letters[0]


def only_option_in(item: Item, sentence: str) -> str | None:
    """The letter of the one option whose text occurs; "" for several or a supposed one, None for none.

    Where several occur, the one that the main clause says of its subject: "Of A and B it is B, as A is no fish".
    """
    main = _LEADING_CONDITION.sub("", sentence)
    said = _occurring(item, sentence)
    supposed = _SUPPOSES.search(main)
    if supposed and supposed.group().lower() not in item.question.lower():
        return "" if said else None
    if len(said) > 1:
        said = set().union(*(_occurring(item, part) for part in _predicates(_SIDE_CLAUSE.split(main)[0]))) or said
    return (said.pop() if len(said) == 1 else "") if said else None


def _predicates(clause: str) -> list[str]:
    """What stands behind each verb, without the subject of the next verb, and behind its last "="; else the clause."""
    _, *behind = _PREDICATE.split(clause)
    whole = [*(re.split(r"[,;][^,;]*$", part)[0] for part in behind[:-1]), *behind[-1:]]
    return [_RESULT.split(part)[-1] for part in whole] or [_RESULT.split(clause)[-1]]


def _occurring(item: Item, sentence: str) -> set[str]:
    """Letters of the options whose text occurs, is not denied, and is no part of another option that occurs there."""
    said = _NUMBERED.sub("", _spelled(sentence))
    spans = [
        (start, start + len(option), letter)
        for letter, option in _options(item)
        if option and (len(option) > 1 or _stands_apart(option.upper(), sentence))
        for start in _places(option, said)
        if not _DENIED.search(said, max(0, start - 40), start) and not _is_ruled_out(said, start + len(option))
    ]
    return {
        letter
        for start, end, letter in spans
        if not any(other[0] <= start and end <= other[1] and end - start < other[1] - other[0] for other in spans)
    }


def _is_ruled_out(said: str, end: int) -> bool:
    """Whether "is not", "is wrong" or the like stands right behind an option's text."""
    ruled_out = _RULED_OUT.match(said, end)
    return ruled_out is not None and ruled_out.group().strip() not in ("not", "never", "cannot")


def _opens(option: str, said: str) -> bool:
    """Whether an option opens a text and goes on in no word, number or formula."""
    ends = _ENDS_NAME if re.fullmatch("[a-z]", option) else _ENDS
    return said.startswith(option) and ends.match(said, len(option)) is not None


def _stands_apart(letter: str, sentence: str) -> bool:
    """Whether a sentence has a one-letter option as a word of its own in capitals: no "a dog"."""
    return not letter.isalpha() or re.search(rf"(?<![{_LATIN}]){letter}(?![{_LATIN}])", sentence) is not None


def _places(option: str, said: str) -> Iterator[int]:
    """Where an option's text stands apart, its verb bent or not."""
    ends = _ENDS_NAME if re.fullmatch("[a-z]", option) else _ENDS_OR_BENDS
    start = said.find(option)
    while start >= 0:
        if _NOT_AFTER.match(said, start) and ends.match(said, start + len(option)):
            yield start
        start = said.find(option, start + 1)


def _options(item: Item) -> list[tuple[str, str]]:
    return [
        (letter, _PRONOUN.sub("", _spelled(option)))
        for letter, option in zip(letters_of(item), item.options, strict=True)
    ]


@lru_cache(maxsize=4096)
def _spelled(text: str) -> str:
    """Lower case, formulas flat, single blanks, no marks but those that numbers and formulas need."""
    flat = _FRACTION.sub(r"\1/\2", text.lower())
    flat = _ROOT.sub(lambda root: "√" + (root[1] or root[2] or root[3] or ""), flat)
    flat = flat.replace("\\pi", "π").replace("\\circ", "").replace("^{}", "").replace("\\%", "%")
    flat = re.sub(r"\\(?:text|textbf|mathrm|mathbf|left|right|boxed|,|;|!|\(|\)|\[|\])", "", flat)
    flat = re.sub(r"[*_`\"“”‘’;!?\\{}$°()\[\]]|\bdegrees?\b", " ", flat)
    flat = _single_blanks(flat)
    flat = re.sub(r"(?<=\d)\.0+(?!\d)", "", flat)
    flat = re.sub(r"(?<=\d)\s*(?:meters?|metres?)\b", "m", flat)
    flat = re.sub(r"(?<=[\dπ])\s+(?=(?:cm|mm|km|m)\b)", "", flat)
    flat = re.sub(r"\b(?:would|may|might)(?:\s+likely)?\b|\bwill\s+likely\b", "will", flat.replace("&", " and "))
    flat = re.sub(r"(?<=[a-z]{3}[^\Ws])s\b", "", flat)
    flat = re.sub(r"[.,:](?!\d)|(?<!\d)[,:]", " ", flat)
    flat = re.sub(r"(?<=[a-z])\s+[-−–](?=\d)", " minus", flat)
    flat = _single_blanks(flat)
    flat = re.sub(r"\s*([-−–/=<>])\s*", r"\1", flat).replace("−", "-").replace("–", "-").replace(" minus", " -")
    flat = " ".join(flat.split()).strip("'=^ ") if len(flat.strip()) > 1 else flat.strip()
    return flat if _NEGATIVE.match(flat) else flat.strip("-")


def _single_blanks(text: str) -> str:
    """Runs of blanks as one: the patterns that look for some before a mark take their square in time."""
    return re.sub(r"\s+", " ", text)
