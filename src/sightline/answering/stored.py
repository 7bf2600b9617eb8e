"""Answer questions from stored answers, found by the id of each question."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sightline.types import Answer, Placed, Question


class StoredAnswerer:
    """A `ConcurrentAnswerer` whose answers were given before; a question's text is the id of what was asked.

    Args:
        answers: by id.
    """

    patience = math.inf  # an answer that is missing says nothing of the next one

    def __init__(self, name: str, answers: Mapping[str, Answer]) -> None:
        self.name = name
        self._answers = answers

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer per question, in order."""
        for question in questions:
            yield self._answers[question.text]

    def answer_as_ready(self, questions: Sequence[Question]) -> Iterable[Placed]:
        """The same with their places."""
        for place, answer in enumerate(self.answer(questions)):
            yield Placed(place, answer)
