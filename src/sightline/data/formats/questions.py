"""Convert questions with answers, captions and image labels to prompt and completion."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sightline.data.sources.answers import answer_texts, column_answers, options_meant, plain_text
from sightline.data.sources.datasets import row_name
from sightline.errors import DataError

Row = dict[str, Any]

CAPTION_PROMPT = "Describe the image."
LABEL_PROMPT = "What is shown in the image?"


def question_answer(row: Row, images: int, name: str) -> list[Row]:
    """Plain VQA rows; of several answers that which is given most."""
    return [_asked(row, _most_given(column_answers(row, "answer", name)), name)]


def question_answers(row: Row, images: int, name: str) -> list[Row]:
    """What several people answered: the answer that most of them gave, the first of those on a tie."""
    answers = column_answers(row, "answers", name)
    if not answers:
        raise DataError(f"{name}: expected at least one answer in 'answers', got none. Add one, or drop the row.")
    return [_asked(row, _most_given(answers), name)]


def caption(row: Row, images: int, name: str) -> list[Row]:
    """A caption as the answer to CAPTION_PROMPT; a row for each where the cell holds several."""
    return [_said(CAPTION_PROMPT, text) for text in column_answers(row, "caption", name) or ("",)]


def described(row: Row, images: int, name: str) -> list[Row]:
    """A text about a picture as the answer to CAPTION_PROMPT; a row for each where the cell holds several."""
    return [_said(CAPTION_PROMPT, text) for text in answer_texts(row["text"], f"{name}: text") or ("",)]


def captions(row: Row, images: int, name: str) -> list[Row]:
    """A row for each caption of a picture."""
    texts = column_answers(row, "captions", name)
    if not texts:
        raise DataError(f"{name}: expected at least one caption in 'captions', got none. Add one, or drop the row.")
    return [_said(CAPTION_PROMPT, text) for text in texts]


def label(row: Row, images: int, name: str) -> list[Row]:
    """The name of a picture's class, or of its folder, as the answer to LABEL_PROMPT."""
    return [_said(LABEL_PROMPT, plain_text(row["label"]).replace("_", " "))]


def refuse_hidden_options(first_rows: list[Row], source: str) -> None:
    """Raises DataError where the first rows' answers only pick one of options that stand in columns of their own: a
    model would be taught letters without what they stand for."""
    for place, row in enumerate(first_rows):
        column = next((name for name in ("answer", "answers") if row.get(name) is not None), None)
        name = row_name(source, place)
        answer = _most_given(column_answers(row, column, name)).strip() if column else ""
        if options := options_meant(row, answer):
            raise DataError(
                f"{name}: the answer '{answer}' seems to pick one of the options in {', '.join(options)}, which the "
                "model would not see. Write the options into the question, or their texts into the answers."
            )


def _asked(row: Row, answer: str, name: str) -> Row:
    question = row["question"]
    if isinstance(question, list | tuple | dict | bytes):
        raise DataError(f"{name}: expected a text in question, got {question!r:.60}. Write it as text, or as messages.")
    return _said(question, answer)


def _most_given(answers: tuple[str, ...]) -> str:
    return Counter(answers).most_common(1)[0][0] if answers else ""


def _said(question: Any, answer: str) -> Row:
    return {
        "prompt": [{"role": "user", "content": plain_text(question)}],
        "completion": [{"role": "assistant", "content": answer}],
    }
