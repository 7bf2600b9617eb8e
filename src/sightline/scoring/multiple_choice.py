"""Read the option that an answer chooses, and never guess: `strict` for every task with options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sightline.scoring import phrases, yes_no
from sightline.scoring.final_answer import after_reasoning, boxed, refuses, sentences
from sightline.scoring.options import (
    CLOSE,
    DENIED,
    OPEN,
    SEVERAL,
    VERDICT,
    WORD,
    behind,
    is_joined,
    is_word,
    letter_anywhere,
    match_letter,
    mentions,
    only_lists,
    only_option_in,
    option_at_start,
    own_text,
    unless_listed,
    verdict_beside,
)
from sightline.scoring.records import Item, letters_of

_MARKS = " \t\n\"'“”‘’「」『』【】()[]{}<>《》.:,;!#*。、"
_LETTERS = frozenset("ABCDEFGHIJ")
_BEYOND = r"\b(?i:answer|(?:option|choice)\s+letter)\s*(?:is|:)+\s*[*(]*[{letters}](?=[\s.)*]*(?:$|\n|[.,)]))"
# What follows a letter that opens an answer as its label, and not as the article "A".
_ENDS_LABEL = re.compile(
    rf"[\"'\])}}」』】>]*(?:[.):,;\n、]|\s*$|\s*[-–—→]\s|\s+\(|\s+{phrases.any_of('reasons')}|\s*{phrases.any_of('copulas_behind')}[\s.。]*$)"
)
_AT_END = r"(?:^|[\n.?!。:,、→]|->|=>|\bis\b)\s*[\"'(\[「【]*([{letters}])[\"')\]」】]*[\s.。]*$"
_BOLD = r"\*\*\s*(?:\(?([{letters}])\)?[.:]?\s*|(?:\(([{letters}])\)|([{letters}])[.:)])[^*\n]{{1,80}})\*\*"
_IS_BRACKETED = r"\b(?:is|be)[:\s]+\(([{letters}])\)(?![^.\n]*\b(?:and|or)\s+\()"
_OPTION = phrases.finder("option", before="^")
_DENIES = phrases.finder("denies", "doubts")
_SUMS_UP = phrases.finder("sums_up")
_REFUSES = phrases.finder("refuses")


def read_strict(item: Item, answer: str) -> str | None:
    """The letter of the chosen option, or None where the answer names none, or several.

    Tried in this order: LaTeX's box; the whole answer; the last "answer is ..." or "Answer: ...", which may be a letter
    that no option has; the only option that is called right; the letter or option text that the answer opens with; a
    letter that closes it; the only letter in bold; the only option that is not ruled out; the only letter in brackets;
    the only option whose text the last telling sentence holds; for yes and no, what the answer affirms or denies.

    >>> read_strict(item, "**B**"), read_strict(item, "The answer is (b)."), read_strict(item, "A or B")
    ('B', 'B', None)
    """
    said = phrases.fold(after_reasoning(answer))
    *before_questions, whole = [
        without_listings(item, part) if part else "" for part in phrases.turns(phrases.plain(said))
    ]
    if said.strip() and not whole:
        return None
    for part in before_questions:
        if (letter := _first(_FIRM, item, part)) is not None:
            return letter or None
    box = boxed(said)
    for reader in (
        lambda: _in_box(item, box),
        lambda: _first(_FIRM, item, whole),
        lambda: _emphasised(item, said, whole),
        lambda: _not_ruled_out(item, whole),
        lambda: _by_text(item, box, whole),
    ):
        if (letter := reader()) is not None:
            return letter or None
    return None


# Each reader gives a letter, SEVERAL where it sees that several are named, or None where it sees nothing.


def _first(readers: tuple[Callable[[Item, str], str | None], ...], item: Item, text: str) -> str | None:
    return next((letter for read in readers if (letter := read(item, text)) is not None), None)


def _in_box(item: Item, box: str | None) -> str | None:
    said = phrases.plain(box or "")
    if letter := match_letter(item, said):
        return SEVERAL if unless_listed(item, said, letter) == SEVERAL and only_lists(said) else letter["letter"]
    return SEVERAL if box and _REFUSES.search(box) and option_at_start(item, box) is None else None


def _whole(item: Item, text: str) -> str | None:
    bare = _OPTION.sub("", text.strip(_MARKS)).strip(_MARKS)
    if len(bare) == 1 and bare.upper() in letters_of(item):
        return bare.upper()
    return option_at_start(item, text, whole=True) or (SEVERAL if only_lists(text) else None)


def _announced(item: Item, text: str) -> str | None:
    """The last that is announced; what stands in conditions counts where it is one option and nothing is refused."""
    turned = phrases.after_turn(text)
    if turned is not None and not claims(item, turned):
        said = phrase(item, turned) or _at_end(item, turned)
        if said is not None or phrases.takes_back(turned):
            return said or SEVERAL
    found = claims(item, text)
    firm = [claim.said for claim in found if not claim.supposed]
    if firm:
        return firm[-1]
    supposed = {claim.said for claim in found}
    others = set(letter_anywhere(letters_of(item)).findall(text)) - supposed - {"A", "I"}
    return SEVERAL if supposed and (others or _REFUSES.search(text, found[-1].end)) else _only(supposed)


def _beyond(item: Item, text: str) -> str | None:
    """SEVERAL where the answer chooses a letter that no option has, whatever else it says."""
    beyond = "".join(sorted(_LETTERS - set(letters_of(item)))) or "-"
    return SEVERAL if re.search(_BEYOND.format(letters=beyond), text) else None


def _affirmed(item: Item, text: str) -> str | None:
    return _only({mention.letter for mention in mentions(item, text) if mention.right})


def _at_start(item: Item, text: str) -> str | None:
    # "A: no" is how question and answer are marked, not the first option.
    if (marked := re.match(r"A\s*[:-]\s*", text)) and (said := option_at_start(item, text[marked.end() :])):
        return said
    letter = match_letter(item, text)
    if letter and _ENDS_LABEL.match(text[letter.end() :]):
        return unless_listed(item, text, letter) if len(labels(item, text)) < 2 else None
    if yes_no.asks_so(item.options) or _REFUSES.search(text):
        return None
    said = option_at_start(item, text)
    # "Two here and two there: four" does not say two.
    return said if said and only_option_in(item, sentences(text)[0]) in (said, None) else None


def _at_end(item: Item, text: str) -> str | None:
    letter = re.search(_AT_END.format(letters=_set(item)), text)
    if letter is None:
        return last_line(item, text)
    if is_joined(item, text[: letter.start(1)]):
        return SEVERAL
    return None if _DENIES.search(phrases.sentence_around(text, letter.start(1))) else letter[1]


def _emphasised(item: Item, dressed: str, text: str) -> str | None:
    """The only letter in bold or, in brackets, behind "is", unless it is ruled out."""
    bold = {"".join(letters) for letters in re.findall(_BOLD.format(letters=_set(item)), dressed)}
    said = bold | set(re.findall(_IS_BRACKETED.format(letters=_set(item)), text))
    said -= {mention.letter for mention in mentions(item, text) if mention.right is False}
    return said.pop() if len(said) == 1 else None


def _not_ruled_out(item: Item, text: str) -> str | None:
    """The only named option of which nothing says that it is wrong."""
    return None if _REFUSES.search(text) else _only({m.letter for m in mentions(item, text) if m.right is not False})


def _by_text(item: Item, box: str | None, text: str) -> str | None:
    if yes_no.asks_so(item.options):
        said = yes_no.read(item.question, text)
        return None if said is None else letters_of(item)[yes_no.asks_so(item.options).index(said)]
    return option_at_start(item, box or "") or _only_text(item, text)


def _only_text(item: Item, text: str) -> str | None:
    """The option that all telling sentences name, or the last where it concludes."""
    named = [
        (sentence, letter)
        for sentence in sentences(text)
        if not sentence.endswith("?") and (letter := only_option_in(item, sentence)) is not None
    ]
    if not named:
        return None
    last, letter = named[-1]
    # "It cannot be determined" is a refusal, unless it is one of the options.
    option = item.options[ord(letter) - ord("A")] if letter else ""
    if not refuses(option) and (refuses(text) or _REFUSES.search(text)):
        return None
    return letter if _SUMS_UP.search(last) or len({said for _, said in named}) == 1 else SEVERAL


_FIRM = (_whole, _announced, _beyond, _at_start, _affirmed, _at_end)


def _only(said: set[str]) -> str | None:
    return said.pop() if len(said) == 1 else SEVERAL if said else None


def _set(item: Item) -> str:
    return letters_of(item) or "-"


# What may stand between an announcement and the answer.
_TAIL = rf"[\s:=—–\-\"',、】\])]*(?:{phrases.any_of('adverbs')}\s+)?(?:{phrases.any_of('option')}[\s:]*)?"
_ANNOUNCES = phrases.finder("announces", "chooses", after=_TAIL)
_CONTRASTS = phrases.finder("contrasts", after=_TAIL)
_CONCLUDES = phrases.finder("concludes", after=_TAIL)
_ENDS_CLAUSE = re.compile(rf"{CLOSE}\s*(?:[.,;:!)\n。、—–→]|$)")
_DENIES_CUE = phrases.finder("denies")
_SUPPOSES = phrases.finder("conditions", "hedges")
_IF_BEHIND = phrases.finder("conditions", "hedges", before=rf"{OPEN}\w{CLOSE}\s+")
_CLAUSE = re.compile(r"[.,;:!?\n。、]|\b(?:but|so)\b")


@dataclass(frozen=True)
class Claim:
    """An option that a text calls the answer; a supposed one stands in a condition or behind "could be"."""

    said: str
    end: int
    supposed: bool = False


def claims(item: Item, text: str) -> list[Claim]:
    """What the text announces, in order: letters, or SEVERAL where letters are joined. Questions announce nothing."""
    found = [
        Claim(said, cue.end(), _is_supposed(text, cue))
        for cue, said in _announcements(item, text)
        if not phrases.sentence_around(text, cue.start()).endswith("?")
    ]
    return sorted(found, key=lambda claim: claim.end)


def _announcements(item: Item, text: str) -> Iterator[tuple[re.Match[str], str]]:
    for pattern in (_ANNOUNCES, _CONTRASTS, _CONCLUDES):
        for cue in pattern.finditer(text):
            if pattern is not _CONTRASTS and _is_denied(text, cue):
                continue
            said = _concluded(item, text, cue) if pattern is _CONCLUDES else phrase(item, text[cue.end() :])
            if said is not None:
                yield cue, said


def _is_denied(text: str, cue: re.Match[str]) -> bool:
    """Whether an announcement is denied or refused: "the answer is not", "I cannot choose"."""
    before = text[max(0, cue.start() - 80) : cue.start()]
    return bool(_DENIES_CUE.search(cue.group()) or DENIED.search(before) or _REFUSES.search(_CLAUSE.split(before)[-1]))


def _is_supposed(text: str, cue: re.Match[str]) -> bool:
    """Whether a condition or a hedge stands before the announcement, or an "if" right behind its letter."""
    told = text[phrases.sentence_start(text, cue.start()) : cue.end()]
    return bool(_SUPPOSES.search(told) or _IF_BEHIND.match(text, cue.end()))


def _concluded(item: Item, text: str, cue: re.Match[str]) -> str | None:
    """A letter that ends its clause."""
    rest = text[cue.end() :]
    letter = match_letter(item, rest)
    return unless_listed(item, rest, letter) if letter and _ENDS_CLAUSE.match(rest, letter.end()) else None


def phrase(item: Item, text: str) -> str | None:
    """What a phrase behind an announcement says: a letter, unless it is a word or ruled out, or an option's text."""
    letter = match_letter(item, text, either_case=True)
    if letter is None or is_word(letter["letter"], text[letter.end() :]):
        # "A triangle", with a capital behind "is", may be A or the triangle.
        if letter and letter["letter"] == "A" and option_at_start(item, text[letter.end() :]) not in ("A", None):
            return SEVERAL
        return option_at_start(item, text)
    said = unless_listed(item, text, letter)
    if said == SEVERAL:
        return option_at_start(item, text) or SEVERAL
    return None if verdict_beside(behind(own_text(item, said), text[letter.end() :])) is False else said


_LINE_LABEL = re.compile(r"\s*[(\[]?([A-Z])[)\].:、]\s*\S")
_LABEL = re.compile(rf"(?<![{WORD}])[(\[]?([A-Z])[)\].:、]+\s*")
_LABEL_OF_FIRST_LINE = re.compile(r"(?:^|[\s,;.])[(\[]?([A-Z])[)\].:]+\s")
_GAP = re.compile(rf"[\s,;.、]*(?:{phrases.any_of('joins')}\s*)?", re.IGNORECASE)
_OPENS_LINE = re.compile(r"(?:^|[\n:])\s*$")


def without_listings(item: Item, text: str) -> str:
    """The text without what only says the options again: labels in their order, at least two, and no verdict."""
    kept: list[str] = []
    run: list[str] = []
    for line in _without_rows(item, text).split("\n"):
        label = _label(line)
        if run and (not line.strip() or label == _next_label(run)):
            run.append(line)
            continue
        kept += _unless_listing(item, run)
        run = [line] if label else []
        kept += [] if label else [line]
    return "\n".join([*kept, *_unless_listing(item, run)]).strip()


def labels(item: Item, text: str) -> set[str]:
    """Letters that label lines, or places of the first line."""
    found = {*map(_label, text.split("\n")), *_LABEL_OF_FIRST_LINE.findall(text.split("\n", 1)[0])}
    return found & set(letters_of(item))


def last_line(item: Item, text: str) -> str | None:
    """The letter that labels the last line, where the line before has no label: "So the answer is:\\n(B) green"."""
    *before, last = [line for line in text.split("\n") if line.strip()] or [""]
    letter = match_letter(item, last)
    if not letter or not before or not _label(last) or _label(before[-1]) or _has_verdict(item, last):
        return None
    return unless_listed(item, last, letter)


def _without_rows(item: Item, text: str) -> str:
    """The text without rows of options, each a letter and its text: all of them, or some that open a line."""
    rows: list[list[tuple[int, int]]] = []
    for label in _LABEL.finditer(text):
        own = own_text(item, label[1]).lower()
        if not own or text[label.end() : label.end() + len(own)].lower() != own:
            continue
        span = (label.start(), label.end() + len(own))
        if rows and _GAP.fullmatch(text, rows[-1][-1][1], span[0]):
            rows[-1].append(span)
        else:
            rows.append([span])
    for row in reversed(rows):
        start, end = row[0][0], row[-1][1]
        if len(row) == len(item.options) or (len(row) > 1 and _OPENS_LINE.search(text[:start])):
            text = text[:start] + text[end:]
    return text


def _label(line: str) -> str:
    found = _LINE_LABEL.match(line)
    return found[1] if found else ""


def _next_label(run: list[str]) -> str:
    labelled = sum(bool(line.strip()) for line in run)
    return chr(ord(_label(run[0])) + labelled)


def _unless_listing(item: Item, run: list[str]) -> list[str]:
    said = [line for line in run if line.strip()]
    return [] if len(said) > 1 and not any(_has_verdict(item, line) for line in said) else run


def _has_verdict(item: Item, line: str) -> bool:
    letter = _label(line)
    return VERDICT.search(behind(own_text(item, letter), line.lstrip(" ([").removeprefix(letter))) is not None
