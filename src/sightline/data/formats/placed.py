"""Put each image where its mark stands in the prompt; refuse prompts whose images are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sightline.data.formats.conversations import as_parts, images_first
from sightline.data.formats.spoken import MAY_BE_WRITTEN
from sightline.data.marks import MAY_MARK, count_marks, place_pictures, refuse_marked, unnumbered_marks
from sightline.errors import DataError

Row = dict[str, Any]
Message = dict[str, Any]

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
    texts = [_words(messages[place].get("content")) for place in heard]
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


def _words(content: Any) -> str:
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
