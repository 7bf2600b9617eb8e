"""Put images where their marks stand, and make rows uniform: messages everywhere or nowhere, no repeated turns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sightline.data.formats.spoken import MAY_BE_WRITTEN, as_messages, is_plain, is_talk
from sightline.data.marks import MARK, MAY_MARK, count_marks, place_pictures, refuse_marked, unnumbered_marks
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


ASKED = ("messages", "prompt")
_WHICH = {"completion": "answer", "chosen": "chosen answer", "rejected": "rejected answer"}
ANSWERED = tuple(_WHICH)


def may_mark(dataset: Any, columns: Iterable[str]) -> bool:
    """Whether some text in these columns may hold a mark; seen in Arrow, without making rows."""
    return any(_any_text(dataset.data.column(column), MAY_MARK) for column in columns)


def may_show(dataset: Any, columns: Iterable[str]) -> bool:
    """Whether some message in these columns may have an image part, or some text a mark."""
    return any(_any_text(dataset.data.column(column), rf'{MAY_MARK}|^image$|"type": ?"image"') for column in columns)


def may_be_talk(dataset: Any) -> bool:
    """Whether some text may be messages, written as JSON or as Python prints them."""
    return any(_any_text(dataset.data.column(column), f"(?s){MAY_BE_WRITTEN}") for column in dataset.column_names)


def place(row: Row, images: int, name: str, in_parts: bool) -> Row:
    """A row of TRL's columns whose marks, where its prompt has no image parts, have become these.

    `in_parts` makes every content a list of parts, so that all rows are alike.

    Raises:
        DataError: more or fewer image parts or marks than images, or a mark in an answer.
    """
    if images:
        _refuse_marked_answers(row, name)
    column = next((one for one in ASKED if isinstance(row.get(one), list)), None)
    if column is None:
        _check_text(row, images, name)
        return row
    messages = row[column]
    heard = [place for place, message in enumerate(messages) if message.get("role") in ("user", "system")]
    texts = [_words_in(messages[place].get("content")) for place in heard]
    placed = sum(_is_image(part) for message in messages for part in _listed(message.get("content")))
    if placed:
        if placed != images:
            raise DataError(
                f"{name}: {images} image{'s' * (images != 1)}, but the prompt has {placed} image "
                f"part{'s' * (placed != 1)}. Name the missing pictures in the column images, or take the parts out."
            )
        _refuse_marks(texts, placed, name)
        return {**row, column: _in_parts(messages, 0)} if in_parts else row
    parts = place_pictures(texts, images, name)
    if parts is None:
        return {**row, column: _in_parts(messages, images)} if in_parts else row
    new = _in_parts(messages, 0)
    for place_, content in zip(heard, parts, strict=True):
        new[place_] = {**new[place_], "content": content}
    return {**row, column: new}


def _refuse_marks(texts: list[str], parts: int, name: str) -> None:
    """Raise DataError for marks beside image parts, which would be read as words; a number refers to its picture."""
    marks = sum(unnumbered_marks(text) for text in texts)
    if marks:
        raise DataError(
            f"{name}: the prompt has {parts} image part{'s' * (parts != 1)} and {marks} mark{'s' * (marks != 1)} for "
            "images in its text, too. Keep the parts or the marks, not both."
        )


def _refuse_marked_answers(row: Row, name: str) -> None:
    """Raise DataError for a mark in an answer, also in one that went before."""
    said = [turn for column in ASKED for turn in _listed(row.get(column)) if turn.get("role") == "assistant"]
    for which, value in (("answer", said), *((_WHICH[one], row.get(one)) for one in ANSWERED)):
        refuse_marked(_texts(value), which, name)


def _texts(value: Any) -> Iterator[str]:
    """The texts of an answer, of several, or of messages."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(value.get("content") if "content" in value else value.get("text"))
    for one in _listed(value):
        yield from _texts(one)


def _check_text(row: Row, images: int, name: str) -> None:
    """Raise DataError for a prompt of plain text with marks and no image at all."""
    text = row.get("prompt")
    marks = count_marks(text) if isinstance(text, str) else 0
    if marks and not images:
        raise DataError(
            f"{name}: the prompt has {marks} image mark{'s' * (marks != 1)}, but the row has no image. Name it in the "
            "column image, or take the mark out."
        )


def _in_parts(messages: list[Message], images: int) -> list[Message]:
    """Messages with lists of parts; `images` without a place come first."""
    new = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            shown = images if message.get("role") == "user" else 0
            images -= shown
            content = images_first(content, shown) if shown else as_parts(content)
        new.append({**message, "content": content})
    return new


def _words_in(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text") or "") for part in _listed(content))


def _listed(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []


def _is_image(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "image"


def _any_text(column: Any, pattern: str) -> bool:
    return any(_leaf_matches(chunk, pattern) for chunk in column.chunks)


def _leaf_matches(array: Any, pattern: str) -> bool:
    """Whether a text inside lists and records matches."""
    import pyarrow
    import pyarrow.compute as compute

    kind = array.type
    if isinstance(array, pyarrow.ExtensionArray):
        return _leaf_matches(array.storage, pattern)
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return _leaf_matches(array.flatten(), pattern)
    if pyarrow.types.is_struct(kind):
        return any(_leaf_matches(array.field(place), pattern) for place in range(kind.num_fields))
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        return False
    return bool(compute.any(compute.match_substring_regex(array, pattern)).as_py())


def as_parts(text: str) -> list[Row]:
    """A text without marks as content parts."""
    return [{"type": "text", "text": text}]


def images_first(text: str, images: int) -> list[Row]:
    """A text as content parts behind so many images."""
    words = text.lstrip()
    return [{"type": "image", "text": None}] * images + (as_parts(words) if words or not images else [])
