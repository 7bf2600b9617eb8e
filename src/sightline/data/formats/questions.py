"""Questions with answers, captions and labels of pictures as prompt and completion."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sightline.errors import DataError

Row = dict[str, Any]

CAPTION_PROMPT = "Describe the image."
LABEL_PROMPT = "What is shown in the image?"


def question_answer(row: Row, images: int, name: str) -> list[Row]:
    """Plain VQA rows."""
    return [_said(row["question"], row["answer"])]


def question_answers(row: Row, images: int, name: str) -> list[Row]:
    """What several people answered: the answer that most of them gave, the first of those on a tie."""
    answers = [answer["answer"] if isinstance(answer, dict) else answer for answer in row["answers"] or ()]
    if not answers:
        raise DataError(f"{name}: expected at least one answer in 'answers', got none. Add one, or drop the row.")
    return [_said(row["question"], Counter(answers).most_common(1)[0][0])]


def caption(row: Row, images: int, name: str) -> list[Row]:
    """A caption as the answer to CAPTION_PROMPT."""
    return [_said(CAPTION_PROMPT, row["caption"])]


def captions(row: Row, images: int, name: str) -> list[Row]:
    """A row for each caption of a picture."""
    if not row["captions"]:
        raise DataError(f"{name}: expected at least one caption in 'captions', got none. Add one, or drop the row.")
    return [_said(CAPTION_PROMPT, text) for text in row["captions"]]


def label(row: Row, images: int, name: str) -> list[Row]:
    """The name of a picture's class folder as the answer to LABEL_PROMPT."""
    return [_said(LABEL_PROMPT, str(row["label"]).replace("_", " "))]


def _said(question: str, answer: str) -> Row:
    return {
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": answer}],
    }
