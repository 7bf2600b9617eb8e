"""Read yes or no from a sentence that states again what a question asks: "The dog is not larger than the cat."."""

from __future__ import annotations

import re

from sightline.evaluation.scorers.final_answer import refuses, sentences

_SAID_AGAIN = 0.7
"""Share of the question's words that a sentence needs, so that it states the matter and not something near it."""

_NEGATED = re.compile(r"\b(?:not|no|never|neither|none|without)\b|n['’]t\b", re.IGNORECASE)
_COMPARISON = re.compile(r"\w+er|less|more|most|least|\w+est|m[ai][xn]imum|equal")
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
    compared = {word for word in asked if _COMPARISON.fullmatch(word)}
    for sentence in sentences(answer):
        said = _words(sentence)
        if sentence.endswith("?") or len(asked & said) < _SAID_AGAIN * len(asked) or not compared <= said:
            continue
        return "no" if _NEGATED.search(sentence) else "yes"
    return None


def _words(text: str) -> frozenset[str]:
    """Words that carry meaning, without their endings."""
    words = re.findall(r"[^\W_]+", _NEGATED.sub(" ", text.lower()))
    return frozenset(re.sub(r"(?:ing|es|ed|s)$", "", word) if len(word) > 4 else word for word in words) - _FILLERS
