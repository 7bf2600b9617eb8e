"""Conversations of LLaVA, ShareGPT and their relatives as chat messages, `<image>` marks as image parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sightline.data.marks import IMAGE_MARK, place_pictures
from sightline.errors import DataError

Row = dict[str, Any]
Message = dict[str, Any]

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
}


def read_messages(turns: Any, images: int, name: str, system: str | None = None) -> list[Message]:
    """Turns (`from` and `value`, or `role` and `content`) as messages, each mark as an image part where it stands.

    Images without any mark come first in the first user turn. A conversation without images has plain text contents.

    Raises:
        DataError: no turns, an unknown role, or marks that do not match the images.
    """
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{name}: expected a list of turns, got {turns!r}. Fill in the conversation, or drop the row.")
    messages = [_message(turn, name) for turn in turns]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    contents = place_pictures([message["content"] for message in messages], images, name)
    if contents is None:
        contents = [as_parts(message["content"]) for message in messages]
        if images:
            first = next((place for place, message in enumerate(messages) if message["role"] == "user"), None)
            if first is None:
                raise DataError(f"{name}: {images} images, but no user turn to show them in. Add one, or drop the row.")
            contents[first] = images_first(messages[first]["content"], images)
    return [{"role": message["role"], "content": parts} for message, parts in zip(messages, contents, strict=True)]


def as_parts(text: str) -> list[Row]:
    """A text without marks as content parts."""
    return [{"type": "text", "text": text}]


def images_first(text: str, images: int) -> list[Row]:
    """A text as content parts behind so many images."""
    words = text.lstrip()
    return [{"type": "image", "text": None}] * images + (as_parts(words) if words or not images else [])


def as_text(content: Any) -> str:
    """Content parts as a text with marks, a line each, as `read_messages` reads it."""
    if isinstance(content, str):
        return content
    return "\n".join(IMAGE_MARK if part["type"] == "image" else str(part.get("text") or "") for part in content)


def without_parts(messages: list[Message]) -> list[Message]:
    """Messages of text parts alone as messages of plain text, as text-only training takes them."""
    return [{**message, "content": as_text(message["content"])} for message in messages]


def is_exchange(messages: list[Message]) -> bool:
    """Whether they are one question and one answer, with or without a system prompt."""
    return [message["role"] for message in messages if message["role"] != "system"] == ["user", "assistant"]


def answer_alone(convert: Callable[[Row, int, str], list[Row]], row: Row, images: int, name: str) -> list[Row]:
    """The conversation that `convert` makes of a row as `prompt` and `completion`.

    Raises:
        DataError: it is more than one question and its answer.
    """
    (made,) = convert(row, images, name)
    messages = made["messages"]
    if not is_exchange(messages):
        raise DataError(
            f"{name}: expected one question and one answer, since completion_only_loss is true; got "
            f"{len(messages)} turns. Leave completion_only_loss out, which trains every token, or set "
            "assistant_only_loss to true, which trains the assistant's turns."
        )
    return [{"prompt": messages[:-1], "completion": messages[-1:]}]


def conversation(row: Row, images: int, name: str) -> list[Row]:
    """LLaVA's and ShareGPT's rows."""
    column = "conversations" if row.get("conversations") is not None else "messages"
    return [{"messages": read_messages(row.get(column), images, name, row.get("system"))}]


def indexed_parts(row: Row, images: int, name: str) -> list[Row]:
    """Rows of llava-instruct-mix-vsft, whose image parts number the images."""
    messages = [
        {
            "role": message["role"],
            "content": [{"type": part["type"], "text": part.get("text")} for part in message["content"]],
        }
        for message in row["messages"]
    ]
    numbers = [
        part.get("index") for message in row["messages"] for part in message["content"] if part["type"] == "image"
    ]
    if any(number is not None for number in numbers) and numbers != list(range(images)):
        raise DataError(
            f"{name}: expected image parts that show the {images} images in their order, got the indices {numbers}. "
            "Put `images` into the order in which they are shown, each once."
        )
    return [{"messages": messages}]


def compared_conversations(row: Row, images: int, name: str) -> list[Row]:
    """POVID's rows: two conversations that part at an answer."""
    chosen = read_messages(row["conversations"], images, name)
    rejected = read_messages(row["rejected_conversations"], images, name)
    return [_parted(chosen, rejected, name)]


def two_endings(row: Row, images: int, name: str) -> list[Row]:
    """ShareGPT's preference rows: a conversation, and two turns that may end it."""
    prompt = read_messages(row["conversations"], images, name, row.get("system"))
    chosen, rejected = (
        [{"role": "assistant", "content": as_parts(_message(row[column], name)["content"])}]
        for column in ("chosen", "rejected")
    )
    return [{"prompt": prompt, "chosen": chosen, "rejected": rejected}]


def prompt_of_two_kinds(row: Row, images: int, name: str) -> list[Row]:
    """Preference rows whose prompt or answers are plain text where the others are messages, or whose answers repeat the
    prompt, as UltraFeedback's do: all of them as messages, the prompt once."""
    prompt, several = _said_as(row["prompt"], "user"), row["rejected"]
    rejected = several if isinstance(several, list) and not any(isinstance(one, dict) for one in several) else [several]
    chosen = _said_as(row["chosen"], "assistant")
    others = [_said_as(answer, "assistant") for answer in rejected]
    made = []
    for other in others:
        if chosen and chosen[0].get("role") != "assistant":
            made.append(_parted(chosen, other, name))
        else:
            made.append({"prompt": prompt, "chosen": chosen, "rejected": other})
    return made


def swift_pair(row: Row, images: int, name: str) -> list[Row]:
    """ms-swift's rows: a conversation that ends in the chosen answer, and what is rejected in its place."""
    messages = read_messages(row["messages"], images, name, row.get("system"))
    if messages[-1]["role"] != "assistant" or len(messages) < 2:
        raise DataError(f"{name}: expected messages that end in the chosen answer. Add it, or drop the row.")
    rejected = [{"role": "assistant", "content": as_parts(str(row["rejected_response"]))}]
    return [{"prompt": messages[:-1], "chosen": messages[-1:], "rejected": rejected}]


def swift_conversations(row: Row, images: int, name: str) -> list[Row]:
    """ms-swift's rows of two whole conversations that part at an answer; the rejected one may be its answer alone."""
    chosen = read_messages(row["messages"], images, name, row.get("system"))
    other = row["rejected_messages"]
    if isinstance(other, list) and other and other[0].get("role") == "assistant":
        other = [*row["messages"][:-1], *other]
    return [_parted(chosen, read_messages(other, images, name, row.get("system")), name)]


def _said_as(value: Any, role: str) -> list[Message]:
    return [{"role": role, "content": value}] if isinstance(value, str) else list(value or [])


def without_prompt(row: Row, images: int, name: str) -> list[Row]:
    """TRL's rows whose prompt is the common start of two conversations."""
    chosen, rejected = (_trl_messages(row[column], images, name) for column in ("chosen", "rejected"))
    return [_parted(chosen, rejected, name)]


def _trl_messages(messages: list[Message], images: int, name: str) -> list[Message]:
    turns = [{"role": message["role"], "content": as_text(message["content"])} for message in messages]
    return read_messages(turns, images, name)


def _parted(chosen: list[Message], rejected: list[Message], name: str) -> Row:
    """Two conversations as their common start and what follows it."""
    length = 0
    while length < min(len(chosen), len(rejected)) and chosen[length] == rejected[length]:
        length += 1
    ends = chosen[length:], rejected[length:]
    if not length or any(not end or end[0]["role"] != "assistant" for end in ends):
        raise DataError(
            f"{name}: expected two conversations that part at an answer, got two that "
            f"{'are the same' if not any(ends) else f'part at turn {length + 1}'}. Mend one of them, or drop the row."
        )
    return {"prompt": chosen[:length], "chosen": ends[0], "rejected": ends[1]}


def _message(turn: Any, name: str) -> Message:
    if not isinstance(turn, Mapping):
        raise DataError(f"{name}: expected turns like {{'from': 'human', 'value': '...'}}, got {turn!r}.")
    role = turn.get("from") if turn.get("from") is not None else turn.get("role")
    content = turn.get("value") if turn.get("value") is not None else turn.get("content")
    if role not in ROLES:
        raise DataError(f"{name}: expected a role among {', '.join(ROLES)}; got {role!r}. Rename it, or drop the row.")
    if isinstance(content, list):
        content = as_text(content)
    if not isinstance(content, str):
        raise DataError(f"{name}: expected the text of a turn, got {content!r}. Fill it in, or drop the row.")
    return {"role": ROLES[role], "content": content}
