"""What a sentence says beyond the words of its question: "The car in the picture is blue." says "blue"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sightline.scoring.phrases import finder

_FILLERS = frozenset(
    (
        "a an the it its this that these those there they he she his her their you we i it's that's there's is are "
        "was were be been being am of to like have has had do does did can could may might would will appears appear "
        "seems seem looks look think believe see probably likely maybe perhaps possibly about around roughly says say "
        "said reads read states stated written shown shows show depicted depicts visible called named labeled "
        "labelled displayed name image picture photo photograph figure scene document page sign text answer and so "
        "thus therefore hence yes by chart graph bar slice legend playing"
    ).split()
)
_PREPOSITIONS = frozenset("in on at of by for with from to into as near inside".split())
_PLACES = frozenset("in on at".split())
_ASKING = frozenset("what which who whos where when how why many much".split())
_COPULAS = frozenset("is are was were be says reads states equals".split())
_WORD_ENDING = re.compile(r"(?:ing|es|ed|s|e|d)$")
_MARKS = " \t\n.,;:!?\"'“”‘’()[]*"
_QUOTED = re.compile(r"[\"“«「]([^\"”»」\n]+)[\"”»」]")
_SIDE_CLAUSE = re.compile(
    r",?\s+(?:because|since|as\s+(?:shown|seen|can|indicated|it|the|there)|which|based\s+on|according\s+to)\b.*$"
    r"|(?<=\w)\s+[(—–].*$|,\s+(?:and\s+|but\s+)?not\s.*$",
    re.IGNORECASE | re.DOTALL,
)
_OPENING_CLAUSE = re.compile(
    r"^(?:according\s+to|based\s+on|from|in|as|looking\s+at)\b[^,]*,\s*|^(?:sure|certainly|so)[,!]\s*",
    re.IGNORECASE,
)


# "The car is blue" in languages that restated() does not take word by word: its subject, and what is said of it.
_SAID_OF = tuple(
    re.compile(rf"(?P<subject>{subject}){copula}(?P<said>[^,;，；]{{1,60}}?){end}[.。!！]?", re.IGNORECASE)
    for subject, copula, end in (
        (r"[^，。\s]{1,24}?", "(?:是|为|為)", "的?"),  # Chinese
        (r"[^、。\s]{1,24}?", "[はが]", "(?:です|でした|だ|である)?"),  # Japanese
        (r".{1,24}?", r"[은는이가]\s+", "(?:입니다|이에요|예요|이다)"),  # Korean
        (r".{1,60}?", r"\s(?:ist|sind|est|sont|es|son|é|são|è|sono|—|это)\s", ""),
    )
)
_ARTICLES = frozenset(
    "der die das den dem ein eine einen le la les l un une des el los las una il lo gli i uno o a os as um uma".split()
)
_DENIES = finder("denies")


def restated(question: str, sentence: str) -> Iterator[str]:
    """What is left of a sentence without the question's words and fillers at its ends; then what it quotes.

    >>> list(restated("What is the man holding?", "The man is holding a tennis racket."))
    ['tennis racket']
    """
    asked = {_stem(word) for word in question.split()}
    plain = _OPENING_CLAUSE.sub("", _SIDE_CLAUSE.sub("", sentence.strip()))
    words = plain.split()
    left = _subject_end(words, asked)
    said = _trimmed(words[left:], asked)
    yield said
    if said.lower().startswith(tuple(f"{place} " for place in _PLACES)):
        yield _trimmed(said.split()[1:], asked)
    if left:
        yield _trimmed(words, asked)
    yield from _said_elsewhere(question, plain)
    quoted = _QUOTED.findall(sentence)
    if len(quoted) == 1 and _stem(quoted[0]) not in asked and not re.search(r"\bnot\b|n['’]t\b", sentence):
        yield quoted[0].strip(_MARKS)


def _said_elsewhere(question: str, sentence: str) -> Iterator[str]:
    """What a sentence of another language says of a subject whose words are all the question's."""
    if sentence.isascii() and not _SAID_OF[-1].fullmatch(sentence):
        return
    for pattern in _SAID_OF:
        found = pattern.fullmatch(sentence.strip())
        if found is None or _DENIES.search(sentence):
            continue
        words = [_bare(word) for word in found["subject"].split()]
        if all(word in _ARTICLES or word in question.lower() or set(word) <= set(question) for word in words):
            said = found["said"].strip(_MARKS)
            first, _, rest = said.partition(" ")
            yield from (said, rest) if first.lower() in _ARTICLES and rest else (said,)
            return


def _subject_end(words: list[str], asked: set[str]) -> int:
    """Where the predicate begins: behind the last "is" whose subject only repeats the question; 0 where none does.

    A subject that has all that was asked for may say more behind a preposition: "The author of this book is".
    """
    end, seen, open_to_more = 0, set(), False
    wanted = {word for word in asked if word not in _FILLERS and word not in _ASKING}
    for index, word in enumerate(words):
        seen.add(_stem(word))
        if word.lower() in _COPULAS and index:
            end, open_to_more = index + 1, False
        elif word.lower() in _PREPOSITIONS or _bare(word) == "of":
            open_to_more = open_to_more or (bool(wanted) and wanted <= seen)
        elif not _is_known(word, asked) and not open_to_more:
            break
    return end


def _trimmed(words: list[str], asked: set[str]) -> str:
    start, end = 0, len(words)
    while start < end and _is_known(words[start], asked):
        start += 1
    while end > start and (_is_known(words[end - 1], asked) or _bare(words[end - 1]) in _PREPOSITIONS):
        end -= 1
    return " ".join(words[start:end]).strip(_MARKS)


def _is_known(word: str, asked: set[str]) -> bool:
    bare = _bare(word)
    return not bare or bare in _FILLERS or _stem(bare) in asked


def _bare(word: str) -> str:
    return word.strip(_MARKS).lower()


def _stem(word: str) -> str:
    bare = _bare(word).replace("colour", "color").replace("’", "'").removesuffix("'s")
    return _WORD_ENDING.sub("", bare) if len(bare) > 3 else bare
