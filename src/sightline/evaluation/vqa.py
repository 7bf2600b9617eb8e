"""Ask an answerer the questions of VQA rows and score the answers by exact match after normalising."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence as Many
from dataclasses import dataclass
from pathlib import Path

from sightline.data.sources import read_dataset
from sightline.errors import ConfigError, MachineError
from sightline.evaluation.normalise import matches
from sightline.evaluation.results import EvalResult, summarise
from sightline.evaluation.rows import read_vqa_rows
from sightline.types import Answer, Answerer, ItemResult, Question, VqaRow

# Rows in flight: enough to sort questions by length into full batches, few enough to keep their pictures in memory.
WINDOW = 512
DEFAULT_MAX_NEW_TOKENS = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EvalConfig:
    """What to evaluate; the names are those of the command's flags.

    Attributes:
        data: file, folder or Hub id with VQA rows.
        limit: how many rows from the start; all by default.
        blind: ask without the pictures, to see what the questions alone give away.
    """

    data: str
    split: str | None = None
    limit: int | None = None
    blind: bool = False
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit: expected at least 1 row, got {self.limit}.")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens: expected at least 1, got {self.max_new_tokens}.")


def read_rows(config: EvalConfig) -> Many[VqaRow]:
    """The rows that `config` names, checked.

    Raises:
        DataError: with file and row.
    """
    name = config.data if config.split is None else f"{config.data} ({config.split})"
    source = config.data if Path(config.data).is_file() else name
    return read_vqa_rows(read_dataset(config.data, config.split), source, config.limit)


def run_eval(
    config: EvalConfig, answerer: Answerer, rows: Many[VqaRow] | None = None, progress: Progress | None = None
) -> EvalResult:
    """The result of asking `answerer` every question, an item without an answer counted as wrong.

    Args:
        rows: used instead of those that `config.data` names, when they were read or made already.
        progress: called with (answered, all) after each answer.

    Raises:
        DataError: the rows cannot be used.
        MachineError: no question at all was answered.
    """
    asked = read_rows(config) if rows is None else rows
    start = time.perf_counter()
    items = []
    for item in answer_rows(asked, answerer, config.blind, config.max_new_tokens):
        items.append(item)
        if progress is not None:
            progress(len(items), len(asked))
    if all(item.error for item in items):
        raise MachineError(
            f"{answerer.name} answered none of {len(items)} questions. The first error: {items[0].error}"
        )
    return summarise(answerer.name, items, config.data, config.blind, time.perf_counter() - start)


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
