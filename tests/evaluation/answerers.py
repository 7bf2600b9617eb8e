"""An answerer with stored answers, and rows to ask it about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sightline.types import Answer, Question, VqaRow


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


def vqa_row(index: int, gold: str, kind: str = "", picture: int = 0) -> VqaRow:
    """The question `q<index>` about picture number `picture`."""
    return VqaRow(f"test.jsonl row {index + 1}", f"q{index}", (gold,), None, f"picture {picture}", kind, (), str(index))
