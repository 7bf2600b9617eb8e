"""Read yes or no from a sentence that states again what a question asks: "The dog is not larger than the cat."."""

from __future__ import annotations

import re

from sightline.scoring.final_answer import sentences
from sightline.scoring.phrases import finder, tables

_SAID_AGAIN = 0.65
"""Share of the question's words that a sentence needs, so that it states the matter and not something near it."""

_DENIES = finder("double_denials", "lacks", "denies")
_REFUSES = finder("refuses")
_SUPPOSES = finder("conditions", "hedges", "concedes")
_ASKS_WHETHER_THERE_IS = finder("exists")
_CLAUSE = re.compile(r"[,;:，；：。、]|\b(?:but|while|although|though|however|as|because|since|which)\b", re.IGNORECASE)
_NOT_THERE = finder(
    "denies",
    before=r"^\W*(?:is|are|was|were|can|could)?\s*",
    after=r"\s*(?:\w+\s+)?(?:in|visible|present|there|seen|shown)\b",
)
_PREPOSITION = re.compile(r"\b(?:in|on|at|near|by|under|over|behind|beside|with|of|from)\b", re.IGNORECASE)
_COMPARISON = re.compile(r"\w+er|less|more|most|least|\w+est|m[ai][xn]imum|equal")
_MORE = re.compile(r"\b(?:more|greater|larger|bigger|higher|longer|taller)\b", re.IGNORECASE)
_LESS = re.compile(r"\b(?:less|fewer|smaller|lower|shorter)\b", re.IGNORECASE)
_EQUAL = re.compile(r"\b(?:equal\s+to|same\s+as)\b", re.IGNORECASE)
_THAN = re.compile(r"\b(?:than|equal\s+to|same\s+as)\b", re.IGNORECASE)
_FILLERS = frozenset(word for words in tables()["fillers"].values() for word in words)


def stated(question: str, answer: str) -> str | None:
    """ "yes" or "no" where the answer's first sentence of the matter affirms or denies it; None where none does.

    >>> stated("Is the nest larger than a fist?", "The nest is not larger than a fist.")
    'no'
    >>> stated("Is there a dog?", "I see no dog."), stated("Is there a dog?", "There is a cat.")
    ('no', None)
    """
    asked = _words(question)
    # What affirms a question that denies is not for us to say.
    if not asked or _DENIES.search(question) or _REFUSES.search(answer):
        return None
    if _direction(question) and _THAN.search(question):
        return next(filter(None, (_compared(question, sentence) for sentence in sentences(answer))), None)
    if _ASKS_WHETHER_THERE_IS.search(question):
        return next(filter(None, (_said_to_be(asked, question, sentence) for sentence in sentences(answer))), None)
    return (_said_alone if len(asked) < 2 else _said_again)(asked, question, answer)


def _said_alone(asked: frozenset[str], question: str, answer: str) -> str | None:
    """What a sentence says that has the one word asked for and no other: "The figure is symmetric."."""
    for sentence in sentences(answer):
        if _words(sentence) == asked and not _is_open(sentence, question):
            return _by_denials(len(_DENIES.findall(sentence)))
    return None


def _said_again(asked: frozenset[str], question: str, answer: str) -> str | None:
    compared = {word for word in asked if _COMPARISON.fullmatch(word)}
    for sentence in sentences(answer):
        said = _words(sentence)
        if _is_open(sentence, question) or len(asked & said) < _SAID_AGAIN * len(asked) or not compared <= said:
            continue
        # Of "Is the man wearing a hat?" a sentence that begins with the woman says nothing.
        if not asked <= said and _first_word(sentence) not in asked:
            continue
        of_the_matter = (clause for clause in _CLAUSE.split(sentence) if asked & _words(clause))
        return _by_denials(sum(len(_DENIES.findall(clause)) for clause in of_the_matter))
    return None


def denies(text: str) -> bool:
    """Whether a text has a word of denial."""
    return _DENIES.search(text) is not None


def _is_open(sentence: str, question: str) -> bool:
    """Whether a sentence asks, supposes or concedes, and does not only repeat the question in that."""
    supposed = _SUPPOSES.search(sentence)
    return sentence.endswith(("?", "？")) or (supposed is not None and supposed.group() not in question)


def _by_denials(count: int) -> str | None:
    """None for two denials in a sentence: what they come to is not for us to say."""
    return ("yes", "no", None)[min(count, 2)]


def _said_to_be(asked: frozenset[str], question: str, sentence: str) -> str | None:
    """Whether a sentence says that what is asked for is there: "I see no dog", "A dog is not visible"."""
    if _is_open(sentence, question):
        return None
    thing = _words(_PREPOSITION.split(question)[0])
    for clause in _CLAUSE.split(sentence):
        said = _words(clause)
        # "No boat" and "There is a boat" leave out where.
        if len(asked & said) < _SAID_AGAIN * len(asked) and not (thing and thing <= said <= asked):
            continue
        place = max(clause.lower().rfind(word) for word in asked)
        before, behind = _DENIES.findall(clause[:place]), _NOT_THERE.search(re.sub(r"^\w*", "", clause[place:]))
        return _by_denials(len(before) + (behind is not None))
    return None


def _compared(question: str, sentence: str) -> str | None:
    """The same for "Is A larger than B?", where B may stand first, and smaller and equal deny it."""
    asked, than, direction = _THAN.search(question), _THAN.search(sentence), _direction(sentence)
    if asked is None or than is None or direction is None or _is_open(sentence, question):
        return None
    first, second = _things(question[: asked.start()]), _things(question[asked.end() :])
    left, right = _things(sentence[: than.start()]), _things(sentence[than.end() :])
    first, second = first - second, second - first
    order = len(left & first) + len(right & second) - len(left & second) - len(right & first)
    if order == 0 or len((first | second) & (left | right)) < _SAID_AGAIN * len(first | second):
        return None
    affirmed = order * direction * (_direction(question) or 0) > 0
    if denies(sentence):
        return "no" if affirmed else None
    return "yes" if affirmed else "no"


def _direction(text: str) -> int | None:
    """1 where a text speaks of more, -1 of less, 0 of as much; None where of nothing or of both."""
    if _EQUAL.search(text):
        return 0
    more, less = bool(_MORE.search(text)), bool(_LESS.search(text))
    return None if more == less else int(more) - int(less)


def _things(text: str) -> frozenset[str]:
    return frozenset(word for word in _words(text) if not _COMPARISON.fullmatch(word))


def _words(text: str) -> frozenset[str]:
    """Words that carry meaning, without their endings; of Chinese the single characters."""
    return frozenset(_telling_words(text))


def _first_word(text: str) -> str:
    return next(iter(_telling_words(text)), "")


def _telling_words(text: str) -> list[str]:
    words = re.findall(r"[^\W_\u2e80-\u9fff]+|[\u4e00-\u9fff]", _DENIES.sub(" ", text.lower()))
    return [_stem(word) for word in words if word not in _FILLERS]


def _stem(word: str) -> str:
    if len(word) > 4:
        return re.sub(r"(?:ing|es|ed|s)$", "", word)
    return re.sub(r"(?<=[a-z]{2}[^s])s$", "", word)
