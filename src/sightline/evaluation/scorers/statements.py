"""Read yes or no from a sentence that states again what a question asks: "The dog is not larger than the cat."."""

from __future__ import annotations

import re

from sightline.evaluation.scorers.final_answer import refuses, sentences

_SAID_AGAIN = 0.65
"""Share of the question's words that a sentence needs, so that it states the matter and not something near it."""

_NEGATED = re.compile(r"\b(?:not|no|never|neither|none|without|false|incorrect)\b|n['’]t\b", re.IGNORECASE)
_COMPARISON = re.compile(r"\w+er|less|more|most|least|\w+est|m[ai][xn]imum|equal")
_MORE = re.compile(r"\b(?:more|greater|larger|bigger|higher|longer|taller)\b", re.IGNORECASE)
_LESS = re.compile(r"\b(?:less|fewer|smaller|lower|shorter)\b", re.IGNORECASE)
_EQUAL = re.compile(r"\b(?:equal\s+to|same\s+as)\b", re.IGNORECASE)
_THAN = re.compile(r"\b(?:than|equal\s+to|same\s+as)\b", re.IGNORECASE)
_FILLERS = frozenset(
    "a an the is are was were be been am do does did has have had can could will would should may of in on at to for it"
    " its this that these those there and or any with by from as which what image picture photo figure".split()
)


def stated(question: str, answer: str) -> str | None:
    """ "yes" or "no" where the answer's first sentence of the matter affirms or denies it; None where none does.

    >>> stated("Is the nest larger than a fist?", "The nest is not larger than a fist.")
    'no'
    >>> stated("Is the nest larger than a fist?", "It is made of twigs.")
    """
    asked = _words(question)
    if len(asked) < 2 or refuses(answer):
        return None
    if _direction(question) and _THAN.search(question):
        return next(filter(None, (_compared(question, sentence) for sentence in sentences(answer))), None)
    compared = {word for word in asked if _COMPARISON.fullmatch(word)}
    for sentence in sentences(answer):
        said = _words(sentence)
        if sentence.endswith("?") or len(asked & said) < _SAID_AGAIN * len(asked) or not compared <= said:
            continue
        return "no" if denies(sentence) else "yes"
    return None


def denies(text: str) -> bool:
    """Whether a text has a word of denial."""
    return _NEGATED.search(text) is not None


def _compared(question: str, sentence: str) -> str | None:
    """The same for "Is A larger than B?", where B may stand first, and smaller and equal deny it."""
    asked, than, direction = _THAN.search(question), _THAN.search(sentence), _direction(sentence)
    if asked is None or than is None or direction is None or sentence.endswith("?"):
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
    """Words that carry meaning, without their endings."""
    words = re.findall(r"[^\W_]+", _NEGATED.sub(" ", text.lower()))
    return frozenset(re.sub(r"(?:ing|es|ed|s)$", "", word) if len(word) > 4 else word for word in words) - _FILLERS
