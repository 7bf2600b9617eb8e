"""Convert messages as people write them (other role names, parts without type, JSON texts) to TRL's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sightline.data.pictures.messages import take_pictures
from sightline.data.sources.answers import plain_text, written_list
from sightline.errors import DataError

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
TOOL_ROLES = ("tool", "function", "function_call", "observation", "tool_call", "tool_response")
# What Arrow finds in each text that may be messages, as JSON or as Python prints them.
MAY_BE_WRITTEN = r"""^\s*[\[{].*['"](?:role|from)['"]\s*:"""
_WRITTEN = re.compile(MAY_BE_WRITTEN, re.DOTALL)
SAID_FIELDS = ("tool_calls", "reasoning_content", "reasoning", "thinking")  # of a message beside its content
_TEXT_TYPES = ("text", "input_text", "output_text")
_TRANSCRIPT = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")


def is_talk(value: Any) -> bool:
    """Whether a value is messages rather than a text, also where a text holds them."""
    return isinstance(value, dict | list) if not isinstance(value, str) else _WRITTEN.match(value) is not None


def is_plain(value: Any, talk: bool) -> bool:
    """Whether TRL reads a value as it is: a text, or where `talk` is messages of its roles."""
    if value is None:
        return True
    if not talk:
        return isinstance(value, str)
    return isinstance(value, list) and bool(value) and all(map(_is_plain_message, value))


def as_messages(value: Any, role: str, name: str) -> list[Message]:
    """A prompt or an answer as messages: a text or a number as one of `role`, one message as a list of it.

    Raises:
        DataError: it is no messages; names the row.
    """
    if isinstance(value, str) and _WRITTEN.match(value):
        value = _read(value, name)
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list) and not all(isinstance(part, Mapping) for part in value):
        raise DataError(
            f"{name}: expected messages with role and content, got a list with {_first_other(value)!r:.60}. Write each "
            'message as {"role": "user", "content": "..."}.'
        )
    if isinstance(value, list):
        return [_message(message, name) for message in value]
    return [] if value is None else [{"role": role, "content": plain_text(value)}]


def transcript(text: Any) -> list[Message] | None:
    """The turns of a text as Anthropic's preferences have them, `Human:` and `Assistant:` each behind an empty line;
    None for any other text.

    >>> transcript("\\n\\nHuman: Hi\\n\\nAssistant: Hello")
    [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Hello'}]
    """
    if not isinstance(text, str) or _TRANSCRIPT.match(text.lstrip("\n")) is None:
        return None
    parts = _TRANSCRIPT.split(text.lstrip("\n"))[1:]
    turns = zip(parts[::2], parts[1::2], strict=True)
    return [{"role": ROLES[who.lower()], "content": said.strip()} for who, said in turns]


def _is_plain_message(message: Any) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return False
    role, content = message["role"], message.get("content")
    if ROLES.get(role.lower(), role) != role or message.get("from") is not None or message.get("value") is not None:
        return False
    if content is None:
        return bool(message.get("tool_calls"))
    return isinstance(content, str) or (isinstance(content, list) and all(map(_is_plain_part, content)))


def _is_plain_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") is not None and part["type"] not in _TEXT_TYPES[1:]


def _message(message: Mapping[str, Any], name: str) -> Message:
    role = message.get("role") if message.get("role") is not None else message.get("from")
    content = message.get("content") if message.get("content") is not None else message.get("value")
    if not isinstance(role, str):
        raise DataError(
            f"{name}: expected messages with role and content, got one with "
            f"{', '.join(map(str, message)) or 'nothing'}. Rename its keys, or drop the row."
        )
    if content is None and not message.get("tool_calls"):
        raise DataError(f"{name}: a message of {role} has no content. Fill it in, or drop the row.")
    if isinstance(content, Mapping):
        content = [content]
    content = [_part(part, name) for part in content] if isinstance(content, list) else content
    rest = {key: value for key, value in message.items() if key not in ("role", "from", "value", "content")}
    if not isinstance(content, list) and content is not None:
        content = plain_text(content)
    return {"role": ROLES.get(role.lower(), role), "content": content, **rest}


def _part(part: Any, name: str) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, Mapping):
        raise DataError(f"{name}: expected content parts of text and images, got {part!r:.60}. Mend the message.")
    if isinstance(part.get("text"), str) and part.get("type") in (None, *_TEXT_TYPES):
        return {**part, "type": "text"}
    return dict(part)


def _read(text: str, name: str) -> Any:
    found = written_list(text)
    if isinstance(found, str):
        raise DataError(
            f"{name}: expected messages, got a text that looks like them and is no JSON: {text.strip()[:60]!r}. Write "
            "them as JSON; pandas prints what it reads of Parquet for people alone."
        )
    if take_pictures(found, name).named:
        raise DataError(
            f"{name}: the messages are written as a text, and name pictures. Write them as a list, or name the "
            "pictures in the column images."
        )
    return found


def _first_other(parts: list[Any]) -> Any:
    return next(part for part in parts if not isinstance(part, Mapping))
