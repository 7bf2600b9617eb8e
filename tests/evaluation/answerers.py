"""An answerer with stored answers that remembers what it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sightline.types import Answer, Question


class StoredAnswerer:
    """Answers each question text as stored; a stored exception becomes an answer's error."""

    def __init__(self, answers: dict[str, str | Exception], name: str = "stored") -> None:
        self.name = name
        self.answers = answers
        self.asked: list[Question] = []

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        for question in questions:
            self.asked.append(question)
            stored = self.answers[question.text]
            yield Answer("", error=str(stored)) if isinstance(stored, Exception) else Answer(stored)
