"""Convert questions with answers, pictures with many of them, captions and image labels to prompt and completion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sightline.data.formats.conversations import read_messages
from sightline.data.sources.answers import answer_texts, column_answers, options_meant, plain_text, written_list
from sightline.data.sources.datasets import row_name
from sightline.errors import DataError

Row = dict[str, Any]

BEFORE = ("system", "history")  # columns of what was said before a question
QUESTIONS = ("question", "instruction", "query", "problem")
CAPTION_PROMPT = "Describe the image."
LABEL_PROMPT = "What is shown in the image?"


def question_answer(row: Row, images: int, name: str) -> list[Row]:
    """Plain VQA rows; of several answers that which is given most."""
    return answered("question", "answer", row, images, name)


def question_answers(row: Row, images: int, name: str) -> list[Row]:
    """What several people answered: the answer that most of them gave, the first of those on a tie."""
    answers = column_answers(row, "answers", name)
    if not answers:
        raise DataError(f"{name}: expected at least one answer in 'answers', got none. Add one, or drop the row.")
    return answered("question", "answers", row, images, name)


def answered(question: str, answer: str, row: Row, images: int, name: str) -> list[Row]:
    """A question and its answer, in columns of these names, with what was said before.

    Raises:
        DataError: a question that is no text, or a history without pairs.
    """
    text = with_input(row, _question(row, question, name))
    made = _said(text, _most_given(column_answers(row, answer, name)))
    return [{**made, "prompt": [*earlier_turns(row, name), *made["prompt"]]}]


def question_turns(row: Row, images: int, name: str) -> list[Row]:
    """The Cauldron's rows: records of user and assistant about the same pictures, as one conversation."""
    records = written_list(row["texts"])
    if not isinstance(records, list) or not records or not all(isinstance(one, dict) for one in records):
        raise DataError(
            f"{name}: expected records of user and assistant in texts, got {records!r:.60}. Mend it, or drop the row."
        )
    turns = [{"role": role, "content": one.get(role)} for one in records for role in ("user", "assistant")]
    return [{"messages": read_messages(turns, images, name)}]


def with_input(row: Row, question: Any) -> Any:
    """A question, and Alpaca's `input` in a line of its own."""
    given = row.get("input")
    return f"{question}\n{given}" if isinstance(given, str) and given.strip() else question


def earlier_turns(row: Mapping[str, Any], name: str) -> list[Row]:
    """The messages of `system`, and of ms-swift's `history`: questions with their answers that went before.

    Raises:
        DataError: the history is no list of pairs.
    """
    pairs = written_list(row.get("history")) or []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise DataError(f"{name}: expected history as pairs of question and answer, got {pairs!r:.60}. Mend the row.")
    first = [{"role": "system", "content": plain_text(row["system"])}] if row.get("system") else []
    return first + [
        {"role": role, "content": plain_text(said)}
        for pair in pairs
        for role, said in zip(("user", "assistant"), pair, strict=True)
    ]


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


def refuse_hidden_options(first_rows: list[Row], columns: tuple[str, ...], source: str) -> None:
    """Raises DataError where the first rows' answers only pick one of options that stand in columns of their own: a
    model would be taught letters without what they stand for. `columns` are those of answers."""
    for place, row in enumerate(first_rows):
        column = next((name for name in columns if row.get(name) is not None), None)
        name = row_name(source, place)
        answer = _most_given(column_answers(row, column, name)).strip() if column else ""
        if options := options_meant(row, answer):
            raise DataError(
                f"{name}: the answer '{answer}' seems to pick one of the options in {', '.join(options)}, which the "
                "model would not see. Write the options into the question, or their texts into the answers."
            )


def _question(row: Row, column: str, name: str) -> Any:
    question = row[column]
    if isinstance(question, list | tuple | dict | bytes):
        raise DataError(f"{name}: expected a text in {column}, got {question!r:.60}. Write it as text, or as messages.")
    return question


def _most_given(answers: tuple[str, ...]) -> str:
    return Counter(answers).most_common(1)[0][0] if answers else ""


def _said(question: Any, answer: str) -> Row:
    return {
        "prompt": [{"role": "user", "content": plain_text(question)}],
        "completion": [{"role": "assistant", "content": answer}],
    }
