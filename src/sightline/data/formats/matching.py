"""Tell formats with the same columns apart by their first rows."""

from __future__ import annotations

import re
from typing import Any

from sightline.data.formats.questions import read_pair
from sightline.data.formats.spoken import ROLES, is_talk, transcript
from sightline.data.marks import count_marks
from sightline.data.sources.answers import written_list

Row = dict[str, Any]

_PICTURE_TOKEN = re.compile(r"<[^<>\s]*(?:im|vision|media|patch)[^<>]*>|\[IMG", re.IGNORECASE)
_QUESTIONS = frozenset(("question", "questions", "query", "instruction", "prompt", "problem"))


def _texts(rows: list[Row], column: str) -> list[Any]:
    """The contents of all turns in the first rows."""
    return [turn.get("content") for row in rows for turn in _turns(row, column) if isinstance(turn, dict)]


def has_marks(rows: list[Row]) -> bool:
    """Whether a message has a mark for a picture."""
    return any(isinstance(text, str) and count_marks(text) for text in _texts(rows, "messages"))


def has_from(rows: list[Row]) -> bool:
    """Whether a message has its words under `value`, as ShareGPT's have."""
    turns = [turn for row in rows for turn in _turns(row, "messages") if isinstance(turn, dict)]
    return any(turn.get("value") is not None for turn in turns)


def has_indices(rows: list[Row]) -> bool:
    """Whether the image parts of messages number their pictures."""
    contents = [content for content in _texts(rows, "messages") if isinstance(content, list)]
    return any("index" in part for content in contents for part in content if isinstance(part, dict))


def has_json_pairs(rows: list[Row]) -> bool:
    """Whether texts are RLHF-V's pairs."""
    return bool(rows) and read_pair(rows[0]["text"]) is not None


def is_text(rows: list[Row]) -> bool:
    """Whether texts are words to train: all that a row says, with a token for its picture where it has one."""
    return not has_json_pairs(rows) and not (_lacks_token(rows) and _asks(rows))


def is_description(rows: list[Row]) -> bool:
    """Whether texts stand beside pictures that nothing is asked of, and none has a token for one, as TRL's text has."""
    return is_text(rows) and _lacks_token(rows)


def _lacks_token(rows: list[Row]) -> bool:
    """Whether no text has a token for the pictures beside it."""
    texts = [row["text"] for row in rows if isinstance(row["text"], str)]
    return _has_image(rows) and not any(_PICTURE_TOKEN.search(text) for text in texts)


def _asks(rows: list[Row]) -> bool:
    return any(name.lower() in _QUESTIONS and value for row in rows for name, value in row.items())


def _has_image(rows: list[Row]) -> bool:
    return any(row.get("image") is not None or row.get("images") is not None for row in rows)


def is_described(rows: list[Row]) -> bool:
    """Whether the rows show a picture and ask nothing: a question must not be dropped for one of ours."""
    return _has_image(rows) and not _asks(rows)


def has_class(rows: list[Row]) -> bool:
    """Whether labels are words: the number of a class says nothing."""
    return is_described(rows) and all(isinstance(row["label"], str | None) for row in rows)


def is_answered(rows: list[Row]) -> bool:
    """Whether conversations hold their answers, which in rows of preferences stand in columns of their own."""
    return not any(
        row.get("chosen") is not None and row.get("rejected") is not None and _lacks_answer(row) for row in rows
    )


def has_one_answer(rows: list[Row]) -> bool:
    """Whether rows hold no answer that another is preferred to."""
    return not any(row.get(column) for row in rows for column in ("rejected", "rejected_response"))


def has_exchanges(rows: list[Row]) -> bool:
    """Whether texts are The Cauldron's records of user and assistant."""
    first = next((texts for row in rows if (texts := written_list(row["texts"]))), None)
    return isinstance(first, list) and all(isinstance(one, dict) and {"user", "assistant"} <= set(one) for one in first)


def has_other_pictures(rows: list[Row]) -> bool:
    """Whether rows hold an answer against other pictures, and against nothing else."""
    others = ("rejected_response", "rejected_messages", "rejected", "chosen")
    return any(row.get("rejected_images") for row in rows) and not any(row.get(one) for row in rows for one in others)


def may_part(rows: list[Row]) -> bool:
    """Whether chosen and rejected are conversations, or transcripts of them."""
    return bool(rows) and all(
        is_talk(rows[0][column]) or transcript(rows[0][column]) is not None for column in ("chosen", "rejected")
    )


def _lacks_answer(row: Row) -> bool:
    turns = row.get("messages") or row.get("conversations")
    last = turns[-1] if isinstance(turns, list) and turns else None
    if not isinstance(last, dict):
        return False
    role = last.get("role") if last.get("role") is not None else last.get("from")
    return ROLES.get(str(role).lower()) == "user"


def _turns(row: Row, column: str) -> list[Any]:
    return row[column] if isinstance(row[column], list) else []
