"""Read the option that an answer chooses, and never guess: `strict` for every task with options."""

from __future__ import annotations

import re

from sightline.evaluation.scorers.final_answer import after_reasoning, boxed
from sightline.evaluation.scorers.verdicts import letters_of
from sightline.evaluation.task import Item

_MARKS = " \t\n*_`\"'“”‘’()[]{}<>.:,;!#$"
_CUE = re.compile(
    r"\b(?:answer|option|choice|letter)\b(?:\s+(?:is|are|would\s+be|should\s+be|must\s+be|will\s+be|to\s+\w+\s+\w+\s+is))?"
    r"\s*[:=]?\s*(?:option\s+|choice\s+|letter\s+)?",
    re.IGNORECASE,
)
_DECORATED = r"[\s*_`\"'“‘(\[{{$]*(?:\\(?:text|mathrm|mathbf|boxed)\{{)*(?P<letter>[{letters}])(?![\w'’+/&-])[*_`\"'”’)\]}}$]*"
_LIST_GOES_ON = re.compile(r"\s*(?:,|;|/|&|\band\b|\bor\b)\s*(?:option\s+)?[(*\"']*[A-Z]\b(?!')", re.IGNORECASE)
_AFTER_OPENING = re.compile(r"\s*(?:[.):,\]\n–—-]|$|is\s+(?:the\s+)?(?:correct|right|best|true)\b)")
_NEGATION = re.compile(r"\b(?:not|no|neither|nor|cannot|incorrect|wrong|except|\w+n't)\b", re.IGNORECASE)


def read_strict(item: Item, answer: str) -> str | None:
    """The letter of the chosen option, or None where the answer names none, or several.

    Tried in this order: LaTeX's box; the whole answer as letter or option text; the last "answer is X", "Option X" or
    "Answer: X"; an opening "X." or "(X)"; the only letter in brackets or bold; the only option whose text occurs.

    >>> read_strict(item, "**B**"), read_strict(item, "The answer is (b)."), read_strict(item, "A or B")
    ('B', 'B', None)
    """
    text = after_reasoning(answer)
    box = boxed(text)
    if box is not None:
        return _whole(item, box)
    for read in (_whole, _after_cue, _opening, _only_marked, _only_text):
        if (letter := read(item, text)) is not None:
            return letter or None
    return None


# Each reader gives a letter, "" where it sees that the answer names several, or None where it sees nothing.


def _whole(item: Item, text: str) -> str | None:
    bare = text.strip(_MARKS)
    if len(bare) == 1 and bare.upper() in letters_of(item):
        return bare.upper()
    spelled = _spelling(text)
    same = [letter for letter, option in _options(item) if option == spelled]
    return same[0] if len(same) == 1 else None


def _after_cue(item: Item, text: str) -> str | None:
    found: str | None = None
    for cue in _CUE.finditer(text):
        rest = text[cue.end() :]
        if letter := _letter_at(item, rest, cue.group()):
            goes_on = _LIST_GOES_ON.match(rest, letter.end())
            found = "" if goes_on else letter["letter"].upper()
        elif (said := _whole(item, re.split(r"\n|\.\s|\.$", rest, maxsplit=1)[0])) is not None:
            found = said
    return found


def _letter_at(item: Item, rest: str, cue: str) -> re.Match[str] | None:
    letter = re.match(_DECORATED.format(letters=_both_cases(item)), rest)
    if letter is None:
        return None
    # "answer is a dog" says no letter; "(a)" and "answer: a" do. So do capitals, but for "The answer is A dog".
    marked = letter.end() > letter.end("letter") or letter.start("letter") > 0
    closed = re.match(r"\s*(?:[.,;:!?)\n]|$)", rest[letter.end() :]) is not None
    return letter if marked and closed or closed or letter["letter"] in letters_of(item).replace("A", "") else None


def _opening(item: Item, text: str) -> str | None:
    letter = re.match(_DECORATED.format(letters=letters_of(item) or "-"), text)
    if letter is None:
        return None
    if _LIST_GOES_ON.match(text, letter.end()):
        return ""
    marked = letter.end() > letter.end("letter")
    return letter["letter"] if marked or _AFTER_OPENING.match(text, letter.end()) else None


def _only_marked(item: Item, text: str) -> str | None:
    letters = letters_of(item) or "-"
    marked = re.findall(rf"\(([{letters}])\)|\*\*([{letters}])\b[^*]*\*\*|\b[Oo]ption ([{letters}])\b", text)
    said = {letter for groups in marked for letter in groups if letter}
    if len(said) > 1:
        return ""
    return said.pop() if said and not _NEGATION.search(text) else None


def _only_text(item: Item, text: str) -> str | None:
    if _NEGATION.search(text):
        return None
    spelled = f" {_spelling(text)} "
    said = {letter for letter, option in _options(item) if option and f" {option} " in spelled}
    # "retrovirus particle" also says "particle": the longest option counts where it holds all the others.
    texts = dict(_options(item))
    longest = max(said, key=lambda letter: len(texts[letter]), default="")
    return longest if longest and all(texts[letter] in texts[longest] for letter in said) else None


def _options(item: Item) -> list[tuple[str, str]]:
    return [(letter, _spelling(option)) for letter, option in zip(letters_of(item), item.options, strict=True)]


def _spelling(text: str) -> str:
    """Lower case, single blanks, no marks but those that numbers and formulas need."""
    words = re.sub(r"[*_`\"“”‘’;!?\\{}]|[.,:](?!\d)|(?<!\d)[.,:]", " ", text.lower()).split()
    return " ".join(words).strip("'()[]$ ")


def _both_cases(item: Item) -> str:
    letters = letters_of(item)
    return letters + letters.lower() or "-"
