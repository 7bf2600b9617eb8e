"""Find options in a text, by their text or their letters, and what is said of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from sightline.scoring.phrases import SENTENCE_END, any_of, finder
from sightline.scoring.records import Item, letters_of

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
_JOINS = re.compile(rf"\s*(?:{any_of('joins')}\s*)*", re.IGNORECASE)
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
    rest = rest[_JOINS.match(rest).end() :]  # type: ignore[union-attr]
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


SEVERAL = ""
"""What is read where several options are named, or one that there is not: no option, and no other reader helps."""

WORD = r"0-9A-Za-z_À-ɏЀ-ӿ"
"""Characters that make a word of a letter beside them; those of Chinese, Japanese and Korean do not."""

OPEN = r"[\s\"'(\[{<「『【《«»]*"
CLOSE = r"[\"')\]}>」』】》«»]*"
BETWEEN = rf"{CLOSE}(?:\s*(?:{any_of('joins')}\s*)+(?:{any_of('option')}\s*)?|(?<=\))(?=\()){OPEN}"
"""What joins two letters: "B and C", "(B) or option (C)"."""

_JOINED = re.compile(rf"(?i:{BETWEEN})(?P<letter>[A-Z])(?![{WORD}]|'[{WORD}])")
_JOINED_END = re.compile(rf"(?<![{WORD}])([A-Z])(?:(?i:{BETWEEN})|\s+)$")
_ROW = re.compile(rf"{OPEN}[A-Z](?:(?:{BETWEEN}|{CLOSE}\s*\n\s*{OPEN})[A-Z](?![{WORD}]))+[\s.)]*", re.IGNORECASE)
_LETTER = re.compile(rf"(?<![{WORD}])[A-Z](?![{WORD}])", re.IGNORECASE)
_OR_BRACKETED = re.compile(rf"{OPEN}[A-Z]\)[^.\n()]{{0,60}}\b(?:and|or)\s+\([A-Z]\)")
_DRESS = re.compile(r"[\s).:\]\"'*–—-]*")
_LABEL_ENDS = re.compile(r"[)\]}]*[.:)]*[ \t]*")
_GOES_ON = re.compile(rf"\s+{any_of('because')}", re.IGNORECASE)
_FORMULA = re.compile(r"\s*[=+*/^]\s*\w|-\w|\s-\s[a-z\d]|\s+\d")
_IN_WORD = re.compile(f"[{WORD}]")
_WORD_BEHIND = re.compile(r"\s+[a-zà-ÿ]")


def match_letter(item: Item, text: str, either_case: bool = False) -> re.Match[str] | None:
    """The option letter that a text opens with, whatever marks stand around it."""
    return _letter_pattern(letters_of(item), either_case).match(text)


@lru_cache(maxsize=64)
def _letter_pattern(letters: str, either_case: bool) -> re.Pattern[str]:
    some = (letters + letters.lower() if either_case else letters) or "-"
    return re.compile(rf"{OPEN}(?P<letter>[{some}])(?![{WORD}]|'[{WORD}])")


@lru_cache(maxsize=64)
def letter_anywhere(letters: str) -> re.Pattern[str]:
    """A pattern for any of the letters as a word of its own."""
    return re.compile(rf"(?<![{WORD}'\\])[{letters or '-'}](?![{WORD}]|'[{WORD}])")


def unless_listed(item: Item, text: str, letter: re.Match[str]) -> str:
    """The letter, or SEVERAL where another is joined to it, or where the text of another option stands behind it."""
    said = letter["letter"].upper()
    rest = text[letter.end() :]
    if _contradicts(item, said, rest) or _OR_BRACKETED.match(text[letter.start() :]):
        return SEVERAL
    listed = _JOINED.match(behind(own_text(item, said), rest))
    if listed is None or listed["letter"] not in letters_of(item):
        return said
    return said if is_word(listed["letter"], listed.string[listed.end() :]) else SEVERAL


def _contradicts(item: Item, letter: str, rest: str) -> bool:
    """Whether the text of another option stands behind a letter where its own is due: "(A) no" of A. yes, B. no."""
    start = _LABEL_ENDS.match(rest).end()  # type: ignore[union-attr]
    said = option_at_start(item, rest[start:].split("\n")[0], whole=True) if 0 < start < len(rest) else None
    return said is not None and said != letter and own_text(item, said).upper() != letter


def only_lists(text: str) -> bool:
    """Whether a text is nothing but different letters that are joined, or each on a line of its own."""
    return _ROW.fullmatch(text) is not None and len(set(map(str.upper, _LETTER.findall(text)))) > 1


def is_joined(item: Item, before: str) -> bool:
    """Whether a text ends with an option letter and a join, so that a letter behind it is one of several."""
    listed = _JOINED_END.search(before[-40:])
    return listed is not None and listed[1] in letters_of(item)


def is_word(letter: str, rest: str) -> bool:
    """Whether a bare letter is the article in "a dog", the pronoun in "I think", or part of a formula."""
    if _FORMULA.match(rest):
        return True
    return bool(_WORD_BEHIND.match(rest)) and (letter in "AI" or letter.islower()) and not _GOES_ON.match(rest)


def own_text(item: Item, letter: str) -> str:
    """The text of a letter's option; empty where there is no such option."""
    return item.options[ord(letter) - ord("A")] if letter and letter in letters_of(item) else ""


def behind(own: str, text: str) -> str:
    """What follows an option's own text, where a text begins with it."""
    start = _DRESS.match(text).end()  # type: ignore[union-attr]
    end = start + len(own)
    return text[end:] if text[start:end].lower() == own.lower() and not _IN_WORD.match(text, end) else text


DENIED = finder(
    "denies", "doubts", after=r"\s*(?:(?:the|an?|to|be|la|le|el|il|die|o|that|which|correct|possible|\w+ly)\s+)*$"
)
"""A denial, or a doubt, at the end of what stands before an option."""

VERDICT = re.compile(f"(?P<wrong>{any_of('wrong')})|(?P<right>{any_of('right')})", re.IGNORECASE)
_CONDITION = finder("conditions", before=r"\s*(?:only\s+)?")
_JOIN = re.compile(BETWEEN, re.IGNORECASE)
_OPTION_BEFORE = finder("option", after=rf"\s*{OPEN}$")
_BRACKET_OPENS, _BRACKET_CLOSES = ("(", "[", "「", "【"), (")", "]", "」", "】")
_LINE_OPENS = re.compile(r"(?:^|\n)\s*[(\[]?$")
_LINE_LABEL_ENDS = re.compile(r"[)\]]?\s*[.):,、—–|-]|\)")
_CLOSES = re.compile(rf"{CLOSE}\s*")
_LETTER_BEHIND = re.compile(rf"[^\S\n]+{OPEN}[A-Z]\b")
_LOOK_BACK, _LOOK_AHEAD = 40, 160
"""Characters around an option in which a denial, or a verdict, is taken to be of it."""


@dataclass(frozen=True)
class Mention:
    """A letter that a text names as an option; `right` is what the text says of it, None where nothing."""

    letter: str
    start: int
    end: int
    right: bool | None


def mentions(item: Item, text: str) -> list[Mention]:
    """Letters in brackets, as labels of lines, behind "option", joined to one of these, or with a verdict beside."""
    matches = _named(text, list(letter_anywhere(letters_of(item)).finditer(text)))
    found = []
    for match, following in zip(matches, [*matches[1:], None], strict=False):
        rest = text[match.end() : following.start() if following else len(text)]
        right = _verdict_of(text, match, behind(own_text(item, match.group()), rest))
        if DENIED.search(text[max(0, match.start() - _LOOK_BACK) : match.start()].rstrip("([\"'")):
            right = False
        found.append(Mention(match.group(), match.start(), match.end(), right))
    return _shared(text, found)


def _named(text: str, letters: list[re.Match[str]]) -> list[re.Match[str]]:
    """Those of all letters that name an option, and those that are joined to one of them."""
    groups: list[list[re.Match[str]]] = []
    for letter in letters:
        if groups and _JOIN.fullmatch(text, groups[-1][-1].end(), letter.start()):
            groups[-1].append(letter)
        else:
            groups.append([letter])
    return [letter for group in groups if any(_names(text, one) for one in group) for letter in group]


def _names(text: str, letter: re.Match[str]) -> bool:
    return not _is_bare(text, letter) or verdict_beside(text[letter.end() :]) is not None


def verdict_beside(rest: str) -> bool | None:
    """What stands right behind an option: True for "is correct", False for "is wrong"."""
    found = VERDICT.match(rest, _CLOSES.match(rest).end())  # type: ignore[union-attr]
    # "B not A" denies A.
    if found is None or _LETTER_BEHIND.match(rest, found.end()):
        return None
    return _verdict(found)


def _verdict(found: re.Match[str] | None) -> bool | None:
    """What a verdict says; one under a condition ("would be correct if") denies."""
    if found is None:
        return None
    return found["right"] is not None and not _CONDITION.match(found.string, found.end())


def _verdict_of(text: str, match: re.Match[str], rest: str) -> bool | None:
    """What is said of an option: of one that labels a line in that line, of others in their sentence or beside them."""
    if _is_bare(text, match):
        return verdict_beside(rest)
    told = rest.split("\n") if _labels_line(text, match) else SENTENCE_END.split(rest)
    return _verdict(VERDICT.search(told[0][:_LOOK_AHEAD]))


def _is_bare(text: str, match: re.Match[str]) -> bool:
    """Whether nothing but the letter tells that it names an option."""
    bracketed = text.endswith(_BRACKET_OPENS, 0, match.start()) and text.startswith(_BRACKET_CLOSES, match.end())
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    return not (bracketed or _labels_line(text, match) or _OPTION_BEFORE.search(before))


def _labels_line(text: str, match: re.Match[str]) -> bool:
    start = max(0, match.start() - _LOOK_BACK)
    opens = _LINE_OPENS.search(text[start : match.start()])
    return bool(opens and (start == 0 or opens.group().startswith("\n")) and _LINE_LABEL_ENDS.match(text, match.end()))


def _shared(text: str, found: list[Mention]) -> list[Mention]:
    """Of joined letters the verdict of the last ("C and D are wrong") or the denial of the first holds for all."""
    groups: list[list[Mention]] = []
    for mention in found:
        if groups and _JOIN.fullmatch(text, groups[-1][-1].end, mention.start):
            groups[-1].append(mention)
        else:
            groups.append([mention])
    return [
        replace(mention, right=False if group[0].right is False else group[-1].right)
        for group in groups
        for mention in group
    ]
