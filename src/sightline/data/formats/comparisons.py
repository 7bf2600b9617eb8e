"""Convert preferences of RLAIF-V, RLHF-V and VLFeedback to prompt, chosen and rejected."""

from __future__ import annotations

import math
from typing import Any

from sightline.data.formats.even import even_row
from sightline.data.formats.questions import earlier_turns, with_input
from sightline.data.formats.spoken import as_messages
from sightline.errors import DataError
from sightline.notation import NotationError, read_json

Row = dict[str, Any]

QUESTIONS = ("question", "prompt", "query", "instruction")
CHOSEN = ("chosen", "chosen_response", "response")
REJECTED = ("rejected", "rejected_response")
_SCORES = ("score", "rating", "overall_score")


def question_pair(row: Row, images: int, name: str) -> list[Row]:
    """RLAIF-V's rows, and those of other names for a question and two answers; `rejected` may be a list of answers.

    Raises:
        DataError: an answer that is missing, or neither text nor messages.
    """
    question, chosen, rejected = (_first(row, columns) for columns in (QUESTIONS, CHOSEN, REJECTED))
    prompt = [*earlier_turns(row, name), *as_messages(with_input(row, question), "user", name)]
    return [even_row({"prompt": prompt, "chosen": chosen, "rejected": rejected}, True, name)]


def json_text(row: Row, images: int, name: str) -> list[Row]:
    """RLHF-V's rows, whose `text` is JSON with question, chosen and rejected."""
    pair = read_pair(row["text"])
    if pair is None:
        raise DataError(
            f"{name}: expected JSON with question, chosen and rejected in 'text', got {str(row['text'])[:80]!r}. "
            "Mend it, or drop the row."
        )
    return question_pair(pair, images, name)


def read_pair(text: Any) -> Row | None:
    """The pair of an RLHF-V text, or None."""
    try:
        pair = read_json(text) if isinstance(text, str) else text
    except NotationError:
        return None
    return pair if isinstance(pair, dict) and {"question", "chosen", "rejected"} <= set(pair) else None


def best_and_worst(row: Row, images: int, name: str) -> list[Row]:
    """VLFeedback's rows: of the rated answers the best and the worst by mean rating, the first of each on a tie.

    No row where fewer than two answers are rated, or all are rated the same.
    """
    rated = [(rating, answer) for answer, rating in _rated(row["completions"], name) if rating is not None]
    if len(rated) < 2:
        return []
    best, worst = (choose(rated, key=lambda pair: pair[0]) for choose in (max, min))
    if best[0] == worst[0]:
        return []
    return question_pair({"question": row["prompt"], "chosen": best[1], "rejected": worst[1]}, images, name)


def _rated(completions: Any, name: str) -> list[tuple[str, float | None]]:
    """Each answer with its mean rating over the aspects, or its score; None where one is no finite number ("N/A").

    Arrow may hold the list of records as a record of lists.
    """
    if isinstance(completions, dict):
        keys = list(completions)
        completions = [dict(zip(keys, values, strict=True)) for values in zip(*completions.values(), strict=True)]
    if completions is None:
        return []
    if not isinstance(completions, list) or not all(
        isinstance(one, dict) and one.get("response") is not None for one in completions
    ):
        raise DataError(
            f"{name}: expected completions as records with response and annotations (or score), got "
            f"{completions!r:.60}. Mend the row, or write its pair as question, chosen and rejected."
        )
    return [(one["response"], _rating(one)) for one in completions]


def _rating(completion: Row) -> float | None:
    annotations = completion.get("annotations")
    given: list[Any] = [aspect.get("Rating") for aspect in (annotations or {}).values() if isinstance(aspect, dict)]
    given = given or [completion[key] for key in _SCORES if completion.get(key) is not None][:1]
    try:
        ratings = [float(one) for one in given]
        # fsum: ratings that are the same in another order tie under every Python, which `sum` does from 3.12 alone
        mean = math.fsum(ratings) / len(ratings) if ratings else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return mean if math.isfinite(mean) else None


def _first(row: Row, columns: tuple[str, ...]) -> Any:
    """The value of the first of these columns that the row has."""
    return next((row[column] for column in columns if column in row), None)
