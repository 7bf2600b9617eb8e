"""Read questions, answers, placeholders and roles from a row, whatever its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.data.formats.spoken import SAID_FIELDS
from sightline.data.marks import MARK, marked_pictures
from sightline.data.sources.answers import column_answers
from sightline.errors import DataError

HEARD = ("system", "user")  # whose words may mark pictures
ROLES = ("system", "user", "assistant", "tool")
LLAVA_ROLES = {"human": "user", "gpt": "assistant"}
TEXT_COLUMNS = (
    "messages", "conversations", "prompt", "completion", "chosen", "rejected", "question", "answer", "answers",
    "caption", "captions", "text",
)  # fmt: skip
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class RowText:
    """The words of a row.

    Attributes:
        turns: each question with its answer; the question is None where the row's columns hold none.
        rejected: the answers that the answer of the last turn is preferred to.
        marks: placeholders: parts of type image, or where there are none, `<image>` in the text.
        disorder: what is wrong with the roles, or empty.
    """

    turns: tuple[tuple[str | None, str], ...]
    rejected: tuple[str, ...] = ()
    marks: int = 0
    disorder: str = ""


def read_texts(row: dict[str, Any]) -> RowText:
    """The words of a row in TRL's columns or LLaVA's, or of questions, answers and captions as benchmarks have them."""
    if row.get("messages") is not None:
        return _conversation(_messages(row["messages"], "user"))
    if row.get("conversations") is not None:
        return _conversation([_said_by(turn) for turn in _messages(row["conversations"], "user")])
    asked = row.get("prompt") if row.get("prompt") is not None else row.get("question")
    if row.get("chosen") is not None or row.get("rejected") is not None:
        return _preference(asked, row.get("chosen"), row.get("rejected"))
    if row.get("completion") is not None:
        return _conversation([*_messages(asked, "user"), *_messages(row["completion"], "assistant")])
    answers = _answers(row)
    marks = marked_pictures(_text(asked)) if asked is not None else 0
    question = _text(asked) if asked is not None else "" if "question" in row or "prompt" in row else None
    return RowText(tuple((question, answer) for answer in answers), (), marks)


def _answers(row: dict[str, Any]) -> tuple[str, ...]:
    """The answers of a row as training reads them; at least one, which may be empty."""
    for column in ("answer", "answers", "caption", "captions"):
        if row.get(column) in (None, "", []):
            continue
        try:
            return column_answers(row, column, column) or ("",)
        except DataError:  # training says what is wrong with it
            return (_text(row[column]) or str(row[column]),)
    return (_text(row.get("text")),)


def plain_words(text: str) -> str:
    """The words of a text in lower case, without marks and punctuation: what two spellings of a question share."""
    words = _WORDS.findall(MARK.sub(" ", text).casefold())
    return " ".join(words) if words else text.strip()


def _preference(asked: Any, chosen: Any, rejected: Any) -> RowText:
    if asked is None:
        own = RowText(((None, _said(chosen)),), (), marked_pictures(_said(chosen)))
    else:
        own = _conversation([*_messages(asked, "user"), *_messages(chosen, "assistant")])
    several = isinstance(rejected, list) and not any(isinstance(part, dict) for part in rejected)
    others = rejected if several else [rejected]
    return RowText(own.turns, tuple(_said(other) for other in others), own.marks, own.disorder)


def _said(answer: Any) -> str:
    """The text of one answer: a string, or the messages of an assistant."""
    return "\n".join(_text(message.get("content")) for message in _messages(answer, "assistant"))


def _messages(value: Any, role: str) -> list[dict[str, Any]]:
    """Messages as they are; a plain text as one message of the role."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return [part if isinstance(part, dict) else {"role": role, "content": part} for part in value]
    return [] if value is None else [{"role": role, "content": value}]


def _said_by(turn: dict[str, Any]) -> dict[str, Any]:
    """A message of TRL's from a turn of LLaVA's."""
    role = turn.get("from") or turn.get("role")
    return {"role": LLAVA_ROLES.get(str(role), role), "content": turn.get("value") or turn.get("content")}


def _conversation(messages: Sequence[dict[str, Any]]) -> RowText:
    turns: list[tuple[str | None, str]] = []
    asked: list[str] = []
    parts = 0
    heard: list[str] = []
    for message in messages:
        text = _text(message.get("content"))
        parts += _image_parts(message.get("content"))
        heard += [text] if message.get("role") in HEARD or "<image>" in text else []
        if message.get("role") == "assistant":
            turns.append(("\n".join(asked), text if text.strip() else _said_otherwise(message)))
            asked = []
        elif message.get("role") in ("user", "tool"):
            asked.append(text)
    if not turns:
        turns.append(("\n".join(asked), ""))  # nobody answers
    marks = parts or marked_pictures("\n".join(heard))
    return RowText(tuple(turns), (), marks, _disorder([str(message.get("role")) for message in messages]))


def _text(content: Any) -> str:
    """The text of a message's content, of a cell, or of an annotator's record."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get("text") if content.get("text") is not None else content.get("answer"))
    if isinstance(content, list):
        return "\n".join(part for part in map(_text, content) if part)
    return "" if content is None else str(content)


def _said_otherwise(message: dict[str, Any]) -> str:
    """What a message without words says by calling tools, or in its thoughts."""
    return "\n".join(str(message[field]) for field in SAID_FIELDS if message.get(field))


def _image_parts(content: Any) -> int:
    if not isinstance(content, list):
        return 0
    return sum(1 for part in content if isinstance(part, dict) and part.get("type") == "image")


def _disorder(roles: Iterable[str]) -> str:
    """What is wrong with the order of roles: user and assistant take turns, after at most one system message."""
    order = list(roles)
    unknown = next((role for role in order if role not in ROLES), None)
    if unknown is not None:
        return f"the role '{unknown}'"
    talk = order[1:] if order[:1] == ["system"] else order
    if "system" in talk:
        return "system is not first"
    if "tool" in talk:
        return ""
    if talk and talk[0] != "user":
        return f"{talk[0]} speaks first"
    for before, after in zip(talk, talk[1:], strict=False):
        if before == after:
            return f"{after} speaks twice in a row"
    return "user has the last word" if talk and talk[-1] != "assistant" else ""
