"""Convert rows of TRL's columns to the formats that we write: TRL's and LLaVA's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sightline.data.encoding.preferences import answer_pairs
from sightline.data.formats.conversations import as_text
from sightline.data.formats.spoken import SAID_FIELDS
from sightline.data.marks import IMAGE_MARK, count_marks
from sightline.errors import DataError

Row = dict[str, Any]

WRITTEN_ROLES = {"user": "human", "assistant": "gpt"}


def sft_row(row: Row, name: str) -> Iterator[Row]:
    """TRL's demonstrations as they are.

    Raises:
        DataError: the conversation, its question or its answer is missing.
    """
    one_form = ("messages",) if row.get("messages") or "prompt" not in row else ("prompt", "completion")
    _require_filled(row, one_form, name)
    yield _kept(row, ("messages", "prompt", "completion", "text"))


def preference_row(row: Row, name: str) -> Iterator[Row]:
    """TRL's preferences: a row for each rejected answer. Raises DataError where the prompt or an answer is missing."""
    _require_filled(row, ("prompt", "chosen", "rejected"), name)
    for pair in answer_pairs(row, name):
        yield _kept(pair, ("prompt", "chosen", "rejected"))


def kto_row(row: Row, name: str) -> Iterator[Row]:
    """TRL's unpaired preferences: the chosen answer with the label true, each rejected one with false."""
    prompt = _kept(row, ("prompt",))
    _require_filled(row, ("prompt", "chosen", "rejected"), name)
    yield {**prompt, "completion": _clean(row["chosen"]), "label": True}
    for pair in answer_pairs(row, name):
        yield {**prompt, "completion": _clean(pair["rejected"]), "label": False}


def llava_row(row: Row, name: str) -> Iterator[Row]:
    """A LLaVA conversation, its images as marks; a system prompt stands in `system`, as in ShareGPT.

    Raises:
        DataError: plain text without turns, tools, a role that LLaVA lacks, or a mark that stands for no image.
    """
    messages = _messages(row, name)
    written: Row = {"id": str(row.get("id") if row.get("id") is not None else name)}
    if messages[0]["role"] == "system":
        written["system"] = as_text(messages.pop(0)["content"])
    images = len(row.get("images") or []) or int(row.get("image") is not None)
    texts = [as_text(message["content"]) for message in messages]
    placed = sum(part["type"] == "image" for message in messages for part in _parts(message["content"]))
    if images and not placed:
        first = next((place for place, message in enumerate(messages) if message["role"] == "user"), 0)
        texts[first] = "\n".join([*[IMAGE_MARK] * images, texts[first]])
    if sum(map(count_marks, texts)) != images:
        raise DataError(
            f"{name}: expected one {IMAGE_MARK} for each of its {images} images, got a conversation with other marks, "
            "which LLaVA's format cannot tell from images. Reword it, or write trl-sft."
        )
    written["conversations"] = [
        {"from": WRITTEN_ROLES[message["role"]], "value": text} for message, text in zip(messages, texts, strict=True)
    ]
    yield written


def _require_filled(row: Row, columns: tuple[str, ...], name: str) -> None:
    """Raise DataError for a column that the row leaves empty, which would be left out of what is written."""
    empty = next((column for column in columns if column in row and row[column] in (None, [])), None)
    if empty is not None:
        raise DataError(f"{name}: expected something in {empty}, got nothing. Fill it in, or drop the row.")


def _messages(row: Row, name: str) -> list[Row]:
    messages = row.get("messages")
    if messages is None:
        prompt, completion = row.get("prompt"), row.get("completion")
        if isinstance(prompt, str) and isinstance(completion, str):
            prompt, completion = [{"role": "user", "content": prompt}], [{"role": "assistant", "content": completion}]
        messages = [*(prompt or []), *(completion or [])]
    allowed = [
        message["role"] in WRITTEN_ROLES or (not place and message["role"] == "system")
        for place, message in enumerate(messages)
    ]
    beside = [field for field in SAID_FIELDS if any(message.get(field) for message in messages)]
    lost = [*(["tools"] if row.get("tools") else []), *beside]
    if not messages or not all(allowed) or lost:
        found = [", ".join(message["role"] for message in messages) or "plain text", *lost]
        raise DataError(
            f"{name}: expected turns of user and assistant, which LLaVA's format can hold, got {' and '.join(found)}. "
            "Drop the row, or write trl-sft."
        )
    return list(messages)


def _kept(row: Row, columns: tuple[str, ...]) -> Row:
    kept = {column: _clean(row[column]) for column in columns if row.get(column) is not None}
    return kept | {
        column: row[column] for column in ("id", "tools", "chat_template_kwargs") if row.get(column) is not None
    }


def _clean(value: Any) -> Any:
    """The value without the None fields that Arrow fills in."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items() if item is not None}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _parts(content: Any) -> list[Row]:
    return content if isinstance(content, list) else []
