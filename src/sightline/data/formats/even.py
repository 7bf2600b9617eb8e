"""Make rows of TRL's columns uniform: messages everywhere or nowhere, numbers as texts, no repeated turns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sightline.data.formats.spoken import as_messages, is_plain, is_talk
from sightline.data.marks import MARK
from sightline.data.sources.answers import plain_text
from sightline.errors import DataError

Row = dict[str, Any]
Message = dict[str, Any]

TALKED = ("messages", "prompt", "completion", "chosen", "rejected")


def are_talk(rows: Iterable[Row]) -> bool:
    """Whether some row has messages, so that all become messages."""
    return any(is_talk(one) for row in rows for column in TALKED for one in _answers(row, column))


def is_even(row: Row, talk: bool) -> bool:
    """Whether a row may stay as it is."""
    if any(not is_plain(one, talk) for column in TALKED for one in _answers(row, column)):
        return False
    answers = [one for column in ("completion", "chosen", "rejected") for one in _answers(row, column)]
    return not talk or not any(isinstance(one, list) and _is_whole(one) for one in answers)


def even_row(row: Row, talk: bool, name: str) -> Row:
    """The row's columns of TRL as texts, or where `talk` as messages.

    A conversation that stands in an answer, as in UltraFeedback's, gives its start to the prompt.

    Raises:
        DataError: a value is neither text nor messages, or the prompt is no part of the conversations.
    """
    given = {column: row[column] for column in TALKED if column in row}
    if not talk:
        return {column: _plain(value, column, name) for column, value in given.items()}
    if "messages" in given:
        return {**given, "messages": _or_none(given["messages"], "user", name)}
    prompt = _or_none(given.get("prompt"), "user", name)
    if "chosen" in given and "rejected" in given and given["chosen"] is not None and given["rejected"] is not None:
        return _compared(prompt, given["chosen"], given["rejected"], name)
    others = {column: _or_none(value, "assistant", name) for column, value in given.items() if column != "prompt"}
    return {**({"prompt": prompt} if "prompt" in given else {}), **others}


def answer_messages(value: Any, name: str) -> list[Message]:
    """One answer as messages; a list of one text, which some files hold, as that text.

    Raises:
        DataError: several answers, or none that can be read.
    """
    if isinstance(value, list) and not any(isinstance(part, dict) for part in value):
        if len(value) != 1:
            raise DataError(
                f"{name}: expected one chosen answer, got a list of {len(value)}. Write a row for each, or keep one."
            )
        (value,) = value
    return as_messages(value, "assistant", name)


def several(rejected: Any) -> list[Any] | None:
    """The answers of a list of them; None where there is one, which may be a list of messages."""
    return rejected if isinstance(rejected, list) and not any(isinstance(one, dict) for one in rejected) else None


def parted(chosen: list[Message], rejected: list[Message], name: str, same_is_right: bool = False) -> Row:
    """Two conversations as their common start and what follows it.

    Args:
        same_is_right: whether they may be one and the same, as where only the pictures differ.

    Raises:
        DataError: they do not part at an answer.
    """
    length = 0
    while length < min(len(chosen), len(rejected)) and chosen[length] == rejected[length]:
        length += 1
    if same_is_right and length == len(chosen) == len(rejected) > 1:
        length -= 1
    ends = chosen[length:], rejected[length:]
    if not length or any(not end or end[0]["role"] != "assistant" for end in ends):
        raise DataError(
            f"{name}: expected two conversations that part at an answer, got two that "
            f"{'are the same' if not any(ends) else f'part at turn {length + 1}'}. Mend one of them, or drop the row."
        )
    return {"prompt": chosen[:length], "chosen": ends[0], "rejected": ends[1]}


def _answers(row: Row, column: str) -> list[Any]:
    value = row.get(column)
    listed = several(value) if column == "rejected" else None
    return [value] if listed is None else listed


def _is_whole(answer: list[Any]) -> bool:
    """Whether an answer is a conversation from its first question on."""
    return answer[0].get("role") != "assistant" and answer[-1].get("role") == "assistant"


def _or_none(value: Any, role: str, name: str) -> list[Message] | None:
    return None if value is None else as_messages(value, role, name)


def _plain(value: Any, column: str, name: str) -> Any:
    listed = several(value) if column == "rejected" else None
    if listed is not None:
        return [_plain(one, "", name) for one in listed]
    if isinstance(value, bytes):
        raise DataError(f"{name}: expected a text in {column}, got {len(value)} bytes. Write it as text.")
    return None if value is None else plain_text(value)


def _compared(prompt: list[Message] | None, chosen: Any, rejected: Any, name: str) -> Row:
    best, listed = answer_messages(chosen, name), several(rejected)
    others = [as_messages(one, "assistant", name) for one in ([rejected] if listed is None else listed)]
    made = [_pair(prompt, best, other, name) for other in others]
    if listed is None:
        return made[0]
    return {**(made[0] if made else {"prompt": prompt, "chosen": best}), "rejected": [one["rejected"] for one in made]}


def _pair(prompt: list[Message] | None, chosen: list[Message], rejected: list[Message], name: str) -> Row:
    """The prompt once, and both answers behind it."""
    whole = [bool(answer) and _is_whole(answer) for answer in (chosen, rejected)]
    if not any(whole):
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    start = (chosen if whole[0] else rejected)[:-1]
    best, worst = (
        answer if is_whole else [*start, *answer] for answer, is_whole in zip((chosen, rejected), whole, strict=True)
    )
    pair = parted(best, worst, name, same_is_right=True)
    _require_part(prompt, pair["prompt"], name)
    return pair


def _require_part(prompt: list[Message] | None, start: list[Message], name: str) -> None:
    """Raise DataError where the prompt asks what the conversations do not: nobody knows which of them was answered."""
    said = [_words(message) for message in start]
    missing = next((words for message in prompt or () if (words := _words(message)) and words not in said), None)
    if missing is not None:
        raise DataError(
            f"{name}: expected conversations that begin with the prompt, got the prompt {missing[:60]!r} beside ones "
            f"that begin with {said[0][:60]!r}. Mend one of them, or drop the column prompt."
        )


def _words(message: Message) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = [str(part.get("text") or "") if isinstance(part, dict) else str(part or "") for part in parts]
    return re.sub(r"\s+", " ", MARK.sub(" ", " ".join(texts))).strip()
