"""Questions with answers, captions and labels of pictures as prompt and completion."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sightline.data.answers import column_answers, plain_text
from sightline.errors import DataError

Row = dict[str, Any]

CAPTION_PROMPT = "Describe the image."
LABEL_PROMPT = "What is shown in the image?"


def question_answer(row: Row, images: int, name: str) -> list[Row]:
    """Plain VQA rows; of several answers that which is given most."""
    return [_said(row["question"], _most_given(column_answers(row, "answer", name)))]


def question_answers(row: Row, images: int, name: str) -> list[Row]:
    """What several people answered: the answer that most of them gave, the first of those on a tie."""
    answers = column_answers(row, "answers", name)
    if not answers:
        raise DataError(f"{name}: expected at least one answer in 'answers', got none. Add one, or drop the row.")
    return [_said(row["question"], _most_given(answers))]


def caption(row: Row, images: int, name: str) -> list[Row]:
    """A caption as the answer to CAPTION_PROMPT; a row for each where the cell holds several."""
    return [_said(CAPTION_PROMPT, text) for text in column_answers(row, "caption", name) or ("",)]


def described(row: Row, images: int, name: str) -> list[Row]:
    """A text about a picture as the answer to CAPTION_PROMPT."""
    return [_said(CAPTION_PROMPT, plain_text(row["text"]))]


def captions(row: Row, images: int, name: str) -> list[Row]:
    """A row for each caption of a picture."""
    texts = column_answers(row, "captions", name)
    if not texts:
        raise DataError(f"{name}: expected at least one caption in 'captions', got none. Add one, or drop the row.")
    return [_said(CAPTION_PROMPT, text) for text in texts]


def label(row: Row, images: int, name: str) -> list[Row]:
    """The name of a picture's class, or of its folder, as the answer to LABEL_PROMPT."""
    return [_said(LABEL_PROMPT, plain_text(row["label"]).replace("_", " "))]


def _most_given(answers: tuple[str, ...]) -> str:
    return Counter(answers).most_common(1)[0][0] if answers else ""


def _said(question: Any, answer: str) -> Row:
    return {
        "prompt": [{"role": "user", "content": plain_text(question)}],
        "completion": [{"role": "assistant", "content": answer}],
    }
