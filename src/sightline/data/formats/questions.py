"""Convert rows of questions with answers, captions or labels, and of answers that were compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sightline.data.formats.conversations import read_messages
from sightline.data.formats.placed import even_row
from sightline.data.formats.spoken import as_messages
from sightline.data.sources.answers import answer_texts, column_answers, options_meant, plain_text, written_list
from sightline.data.sources.datasets import row_name
from sightline.errors import DataError
from sightline.notation import NotationError, read_json

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


COMPARED = ("question", "prompt", "query", "instruction")
CHOSEN = ("chosen", "chosen_response", "response")
REJECTED = ("rejected", "rejected_response")
_SCORES = ("score", "rating", "overall_score")


def question_pair(row: Row, images: int, name: str) -> list[Row]:
    """RLAIF-V's rows, and those of other names for a question and two answers; `rejected` may be a list of answers.

    Raises:
        DataError: an answer that is missing, or neither text nor messages.
    """
    question, chosen, rejected = (_first(row, columns) for columns in (COMPARED, CHOSEN, REJECTED))
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
