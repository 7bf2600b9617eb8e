"""Ask an answerer the questions of VQA rows and score the answers as rows of your own are scored under `strict`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from PIL.Image import Image

from sightline.answering.asking import Progress, ask_all
from sightline.answering.requests import Request
from sightline.evaluation.results import EvalResult, summarise
from sightline.scoring.records import Item
from sightline.scoring.short_answers import score_exact
from sightline.types import Answer, Answerer, ItemResult, Question, VqaRow

DEFAULT_MAX_NEW_TOKENS = 32


def evaluate(
    answerer: Answerer,
    rows: Sequence[VqaRow],
    blind: bool = False,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    progress: Progress | None = None,
) -> EvalResult:
    """The result of asking `answerer` every question; an item without an answer counts as wrong.

    Args:
        blind: ask without the pictures, to see what the questions alone give away.
        progress: called with (answered, all) after each answer; equal questions about one picture are one.

    Raises:
        MachineError: no question at all was answered.
    """
    start = time.perf_counter()
    items = answer_rows(rows, answerer, blind, max_new_tokens, progress)
    return summarise(answerer.name, items, blind=blind, duration_s=time.perf_counter() - start)


def answer_rows(
    rows: Sequence[VqaRow],
    answerer: Answerer,
    blind: bool = False,
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    progress: Progress | None = None,
) -> list[ItemResult]:
    """One scored item per row, in order; arguments as `evaluate`."""
    requests = [_request(rows, index, blind, max_new_tokens) for index in range(len(rows))]
    answers = ask_all(answerer, requests, progress=progress)
    return [score_answer(row, answers[request.key]) for row, request in zip(rows, requests, strict=True)]


def score_answer(row: VqaRow, answer: Answer) -> ItemResult:
    """The item with score 1 if the answer says one of the gold answers, else 0."""
    item = Item(row.id or row.name, row.name, row.question, answers=row.answers)
    right = not answer.error and score_exact(item, answer.text).score
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


@dataclass(frozen=True)
class _RowPicture:
    """The picture of a row, opened when it is needed."""

    rows: Sequence[VqaRow]
    index: int
    key: str

    def open(self) -> Image:
        image = self.rows[self.index].image
        assert image is not None, "only rows with a picture get one of these"
        return image


def _request(rows: Sequence[VqaRow], index: int, blind: bool, max_new_tokens: int) -> Request:
    row = rows[index]
    pictures = () if blind or row.image is None else (_RowPicture(rows, index, row.image_key or f"row {index}"),)
    key = f"{[picture.key for picture in pictures]} {row.question}"
    return Request(key, Question(row.question, pictures, max_new_tokens))
