"""What no picture is needed for: always the most frequent answer of a question kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sightline.evaluation.results import EvalResult, summarise
from sightline.evaluation.vqa import score_answer
from sightline.scoring.normalise import normalise
from sightline.types import Answer, VqaRow


def majority_baseline(rows: Sequence[VqaRow], learned_from: Sequence[VqaRow] | None = None) -> EvalResult:
    """The result of answering each question with the most frequent answer of its kind.

    Args:
        learned_from: rows to count answers in; by default `rows` themselves, which flatters the baseline.
    """
    counts: dict[str, Counter[str]] = {}
    for row in rows if learned_from is None else learned_from:
        counts.setdefault(row.kind, Counter())[normalise(row.answers[0])] += 1
    overall = sum(counts.values(), Counter[str]())
    items = [score_answer(row, Answer(_most_frequent(counts.get(row.kind, overall)))) for row in rows]
    return summarise("majority", items)


def _most_frequent(counts: Counter[str]) -> str:
    """The answer counted most; of several the first in the alphabet, so that the order of rows decides nothing."""
    return min(counts, key=lambda answer: (-counts[answer], answer))
