"""Preference data of RLAIF-V, RLHF-V and VLFeedback as prompt, chosen and rejected."""

from __future__ import annotations

from typing import Any

from sightline.errors import DataError
from sightline.notation import NotationError, read_json

Row = dict[str, Any]


def question_pair(row: Row, images: int, name: str) -> list[Row]:
    """RLAIF-V's rows; `rejected` may be a list of answers."""
    rejected = row["rejected"]
    return [
        {
            "prompt": [{"role": "user", "content": row["question"]}],
            "chosen": _said(row["chosen"]),
            "rejected": [_said(answer) for answer in rejected] if isinstance(rejected, list) else _said(rejected),
        }
    ]


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
    rated = [(rating, answer) for answer, rating in _rated(row["completions"]) if rating is not None]
    if len(rated) < 2:
        return []
    best, worst = (choose(rated, key=lambda pair: pair[0]) for choose in (max, min))
    if best[0] == worst[0]:
        return []
    return question_pair({"question": row["prompt"], "chosen": best[1], "rejected": worst[1]}, images, name)


def _rated(completions: Any) -> list[tuple[str, float | None]]:
    """Each answer with its mean rating over the aspects, None where one is no number ("N/A").

    Arrow may hold the list of records as a record of lists.
    """
    if isinstance(completions, dict):
        responses, annotations = completions["response"], completions["annotations"]
    else:
        responses, annotations = ([one[key] for one in completions] for key in ("response", "annotations"))
    return [(response, _mean_rating(ratings)) for response, ratings in zip(responses, annotations, strict=True)]


def _mean_rating(annotations: Row) -> float | None:
    try:
        ratings = [float(aspect["Rating"]) for aspect in (annotations or {}).values() if aspect is not None]
    except (TypeError, ValueError):
        return None
    return sum(ratings) / len(ratings) if ratings else None


def _said(answer: str) -> list[Row]:
    return [{"role": "assistant", "content": answer}]
