"""Choose a preference pair among answers: the best of some over the worst of others, or none, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sightline.scoring.normalise import normalise

ALIKE, NO_BETTER, NOTHING = "answers alike", "none is better", "no answer"


@dataclass(frozen=True)
class Candidate:
    """An answer that may enter a pair.

    Attributes:
        origin: where it came from: "gold", "sample 2", "noise".
        score: higher is better; None where answers are not scored.
        verdict: a judge's words.
    """

    text: str
    origin: str
    score: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Sides:
    """Answers to one question: those that may be chosen, and those that may be rejected."""

    better: tuple[Candidate, ...]
    worse: tuple[Candidate, ...]

    def scored(self, score: Callable[[Candidate], Candidate | None]) -> Sides:
        """The same with scores; an answer without one is left out."""
        better, worse = ([done for one in side if (done := score(one))] for side in (self.better, self.worse))
        return Sides(tuple(better), tuple(worse))


@dataclass(frozen=True)
class Answered:
    """The sides of each question, and the replies that could not be used: row, reason, reply, what was shown.

    Attributes:
        cut: answers that ended at their longest.
        changes: as `Made.changes`.
    """

    sides: list[Sides]
    rejects: list[dict[str, str]]
    cut: int = 0
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A pair, or the reason why there is none."""

    chosen: Candidate | None = None
    rejected: Candidate | None = None
    reason: str = ""


def choose_pair(sides: Sides) -> Choice:
    """The best of one side over the worst of the other, the first of equals; without scores the first of each.

    There is no pair where one of them is missing, both say the same, or the chosen one does not score higher.
    """
    if not sides.better or not sides.worse:
        return Choice(reason=NOTHING)
    chosen = max(sides.better, key=_score)
    rejected = min(sides.worse, key=_score)
    if chosen.score is not None and rejected.score is not None and chosen.score <= rejected.score:
        return Choice(reason=NO_BETTER)
    if normalise(chosen.text) == normalise(rejected.text):
        return Choice(reason=ALIKE)
    return Choice(chosen, rejected)


def _score(candidate: Candidate) -> float:
    return 0.0 if candidate.score is None else candidate.score
