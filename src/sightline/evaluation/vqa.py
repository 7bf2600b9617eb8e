"""Ask an answerer the questions of VQA rows and score the answers by exact match after normalising."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence as Many

from sightline.errors import MachineError
from sightline.evaluation.normalise import matches
from sightline.evaluation.results import EvalResult, summarise
from sightline.types import Answer, Answerer, ItemResult, Question, VqaRow

# Rows in flight: enough to sort questions by length into full batches, few enough to keep their pictures in memory.
WINDOW = 512
DEFAULT_MAX_NEW_TOKENS = 32

Progress = Callable[[int, int], None]


def evaluate(
    answerer: Answerer,
    rows: Many[VqaRow],
    blind: bool = False,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    progress: Progress | None = None,
) -> EvalResult:
    """The result of asking `answerer` every question; an item without an answer counts as wrong.

    Args:
        blind: ask without the pictures, to see what the questions alone give away.
        progress: called with (answered, all) after each answer.

    Raises:
        MachineError: no question at all was answered.
    """
    start = time.perf_counter()
    items = []
    for item in answer_rows(rows, answerer, blind, max_new_tokens):
        items.append(item)
        if progress is not None:
            progress(len(items), len(rows))
    if all(item.error for item in items):
        raise MachineError(
            f"{answerer.name} answered none of {len(items)} questions. The first error: {items[0].error}"
        )
    return summarise(answerer.name, items, blind=blind, duration_s=time.perf_counter() - start)


def answer_rows(
    rows: Many[VqaRow], answerer: Answerer, blind: bool = False, max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS
) -> Iterator[ItemResult]:
    """One scored item per row, in order."""
    for start in range(0, len(rows), WINDOW):
        window = rows[start : start + WINDOW]
        questions = [Question(row.question, None if blind else row.image, max_new_tokens) for row in window]
        for row, answer in zip(window, answerer.answer(questions), strict=True):
            yield score_answer(row, answer)


def score_answer(row: VqaRow, answer: Answer) -> ItemResult:
    """The item with score 1 if the answer says one of the gold answers, else 0."""
    right = not answer.error and matches(answer.text, row.answers)
    return ItemResult(
        id=row.id or row.name,
        name=row.name,
        question=row.question,
        answers=row.answers,
        prediction=answer.text,
        score=float(right),
        image_key=row.image_key,
        kind=row.kind,
        error=answer.error,
    )
