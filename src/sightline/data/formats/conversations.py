"""Convert conversations of LLaVA, ShareGPT and similar formats to chat messages with image parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sightline.data.formats.placed import answer_messages, as_parts, images_first, parted, several
from sightline.data.formats.spoken import ROLES, SAID_FIELDS, TOOL_ROLES, as_messages, transcript
from sightline.data.marks import IMAGE_MARK, place_pictures, refuse_marked
from sightline.data.sources.answers import plain_text, written_list
from sightline.errors import DataError

Row = dict[str, Any]
Message = dict[str, Any]


def read_messages(turns: Any, images: int, name: str, system: str | None = None) -> list[Message]:
    """Turns (`from` and `value`, or `role` and `content`) as messages, each mark as an image part where it stands.

    Images without any mark come first in the first user turn. A conversation without images has plain text contents.

    Raises:
        DataError: no turns, an unknown role, marks that do not match the images, or a mark in an answer.
    """
    turns = written_list(turns)
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{name}: expected a list of turns, got {turns!r}. Fill in the conversation, or drop the row.")
    messages = [_message(turn, name) for turn in turns]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    heard = [place for place, message in enumerate(messages) if message["role"] != "assistant"]
    refuse_marked((message["content"] for message in messages if message["role"] == "assistant"), "answer", name)
    contents = [as_parts(message["content"]) for message in messages]
    shown = place_pictures([messages[place]["content"] for place in heard], images, name)
    if shown is None and images:
        first = next((place for place, message in enumerate(messages) if message["role"] == "user"), None)
        if first is None:
            raise DataError(f"{name}: {images} images, but no user turn to show them in. Add one, or drop the row.")
        contents[first] = images_first(messages[first]["content"], images)
    for place, parts in zip(heard, shown or (), strict=False):
        contents[place] = parts
    return [{**message, "content": parts} for message, parts in zip(messages, contents, strict=True)]


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
            **_said_beside(message),
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
    return [parted(chosen, rejected, name)]


def two_endings(row: Row, images: int, name: str) -> list[Row]:
    """A conversation, and two answers that may end it: ShareGPT's rows, and LLaMA-Factory's."""
    turns = row["conversations"] if row.get("conversations") is not None else row.get("messages")
    prompt = read_messages(turns, images, name, row.get("system"))
    return [_ended(prompt, row["chosen"], row["rejected"], name)]


def swift_pair(row: Row, images: int, name: str) -> list[Row]:
    """ms-swift's rows: a conversation that ends in the chosen answer, and what is rejected in its place."""
    prompt, chosen = _last_answer(row, images, name)
    return [_ended(prompt, chosen, row["rejected_response"], name)]


def swift_conversations(row: Row, images: int, name: str) -> list[Row]:
    """ms-swift's rows of two whole conversations that part at an answer; the rejected one may be its answer alone."""
    chosen = read_messages(row["messages"], images, name, row.get("system"))
    other, own = written_list(row["rejected_messages"]), written_list(row["messages"])
    if isinstance(other, list) and other and isinstance(other[0], Mapping) and other[0].get("role") == "assistant":
        other = [*own[:-1], *other]
    rejected = read_messages(other, images, name, row.get("system"))
    return [parted(chosen, rejected, name, same_is_right=True)]


def swift_pictures(row: Row, images: int, name: str) -> list[Row]:
    """ms-swift's rows that hold the same answer against other pictures."""
    prompt, chosen = _last_answer(row, images, name)
    return [{"prompt": prompt, "chosen": chosen, "rejected": chosen}]


def without_prompt(row: Row, images: int, name: str) -> list[Row]:
    """TRL's rows whose prompt is the common start of two conversations, also where these are transcripts."""
    both = [transcript(row[column]) or row[column] for column in ("chosen", "rejected")]
    if not all(isinstance(one, list) for one in map(written_list, both)):
        raise DataError(
            f"{name}: expected two conversations, since there is no prompt, got {both[0]!r:.60}. Add the question as "
            "prompt, or write them as messages."
        )
    chosen, rejected = (read_messages(one, images, name) for one in both)
    return [parted(chosen, rejected, name)]


def _last_answer(row: Row, images: int, name: str) -> tuple[list[Message], list[Message]]:
    """The conversation of ms-swift's row up to its last answer, and this."""
    messages = read_messages(row["messages"], images, name, row.get("system"))
    if messages[-1]["role"] != "assistant" or len(messages) < 2:
        raise DataError(f"{name}: expected messages that end in the chosen answer. Add it, or drop the row.")
    return messages[:-1], messages[-1:]


def _ended(prompt: list[Message], chosen: Any, rejected: Any, name: str) -> Row:
    """A prompt and the answers to it, in parts; `rejected` may be a list of answers."""
    for column, value in (("chosen", chosen), ("rejected", rejected)):
        if value is None or value == []:
            raise DataError(f"{name}: expected a {column} answer, got none. Fill it in, or drop the row.")
    listed = several(rejected)
    others = [_in_parts(as_messages(one, "assistant", name)) for one in ([rejected] if listed is None else listed)]
    return {
        "prompt": prompt,
        "chosen": _in_parts(answer_messages(chosen, name)),
        "rejected": others[0] if listed is None or len(others) == 1 else others,
    }


def _in_parts(messages: list[Message]) -> list[Message]:
    return [
        {**message, "content": as_parts(content) if isinstance(content, str) else content}
        for message in messages
        for content in (message["content"],)
    ]


def _message(turn: Any, name: str) -> Message:
    if not isinstance(turn, Mapping):
        raise DataError(f"{name}: expected turns like {{'from': 'human', 'value': '...'}}, got {turn!r}.")
    role = turn.get("from") if turn.get("from") is not None else turn.get("role")
    content = turn.get("value") if turn.get("value") is not None else turn.get("content")
    kind = ROLES.get(str(role).lower())
    calls = content is None and turn.get("tool_calls")
    if calls or str(role).lower() in TOOL_ROLES:
        raise DataError(
            f"{name}: calls of tools and their results cannot be read beside marks such as {IMAGE_MARK} or in "
            f"ShareGPT's turns, got {'tool_calls without content' if calls else f'a turn of {role}'}. Write the row as "
            "TRL's messages, with tool_calls, the role tool and a part of type image for each picture, or drop it."
        )
    if kind is None:
        raise DataError(f"{name}: expected a role among {', '.join(ROLES)}; got {role!r}. Rename it, or drop the row.")
    if isinstance(content, list):
        content = as_text([part if isinstance(part, Mapping) else {"type": "text", "text": part} for part in content])
    if content is None or isinstance(content, Mapping | bytes):
        raise DataError(f"{name}: expected the text of a turn, got {content!r:.60}. Fill it in, or drop the row.")
    return {"role": kind, "content": plain_text(content), **_said_beside(turn)}


def _said_beside(turn: Mapping[str, Any]) -> Row:
    """What a chat template may write of a turn beside its content, as of TRL's messages."""
    return {name: turn[name] for name in SAID_FIELDS if turn.get(name)}
