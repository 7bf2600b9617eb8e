"""Render rows by a chat template, and find which characters the assistant says."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from sightline.data.encoding.borders import spelt_out
from sightline.data.encoding.bounded_templates import bound_templates
from sightline.data.encoding.preferences import answer_pairs
from sightline.data.encoding.processors import image_token, mismatch
from sightline.data.formats.spoken import SAID_FIELDS
from sightline.errors import DataError, InputError


@contextmanager
def templated(label: str, processor: Any) -> Iterator[None]:
    """What a processor's template raises of itself, or of the conversation that it is given, as a DataError; `label` is
    the row.

    Raises:
        DataError: it is broken, or refuses the conversation.
        InputError: there is none, which no row can help; it knows no end, or reaches for what is none of its business.
    """
    from jinja2 import TemplateError
    from jinja2.exceptions import SecurityError

    bound_templates()
    try:
        yield
    except TemplateError as error:
        folder = _folder(processor)
        said = " ".join(str(error).split())[:300].rstrip(".")
        if isinstance(error, SecurityError):  # of every row alike
            raise InputError(
                f"The chat template of {folder} is not rendered: {said}. Take its author's chat_template.jinja."
            ) from error
        refuses = type(error) is TemplateError  # as `raise_exception` of a template does; others say what is broken
        raise DataError(
            f"{label}: the chat template {'refuses it' if refuses else 'cannot render it'}: {said}. Mend the row, or "
            f"chat_template.jinja of {folder}."
        ) from error
    except ValueError as error:
        if "chat template" not in str(error):
            raise
        raise InputError(f"{_folder(processor)}: {missing_template(processor)}") from error


def _folder(processor: Any) -> str:
    return getattr(getattr(processor, "tokenizer", processor), "name_or_path", "") or "the model"


def missing_template(processor: Any) -> str:
    """Why a processor has no template to render a conversation by, and what to do."""
    several = processor.chat_template
    if isinstance(several, dict) and several:
        return (
            f"the model's folder has the chat templates {', '.join(sorted(several))}, and none is called default. "
            "Save the one that is meant as chat_template.jinja."
        )
    return "the model's folder has no chat template to render it by. Copy chat_template.jinja into it."


Spans = list[tuple[int, int]]


def render_columns(processor: Any, row: dict[str, Any], images: int, columns: Sequence[str], label: str) -> list[str]:
    """The columns of prompt and answers as text, by the chat template if they are conversations.

    As TRL 1.16 renders rows with images: without their `tools`.

    Raises:
        DataError: an unknown role, placeholders that do not match the number of images, or nothing where a text is due.
    """
    from trl.data_utils import apply_chat_template, is_conversational

    example: dict[str, Any] = {column: row[column] for column in columns}
    for column in columns:
        _require_content(example[column], column, label)
    if not is_conversational(example):
        return [example[column] for column in columns]
    for column in columns:
        example[column] = structured(example[column], images if column == "prompt" else 0, label)
    with templated(label, processor):
        rendered = apply_chat_template(
            {**example, "chat_template_kwargs": row.get("chat_template_kwargs") or {}}, processor
        )
    return [rendered[column] for column in columns]


def render_messages(
    processor: Any, messages: list[dict[str, Any]], template: str | None, spans: bool, label: str
) -> tuple[str, Spans]:
    """A conversation as text by a template, or the processor's own; with `spans`, where the assistant speaks in it."""
    if not spans:
        with templated(label, processor):
            text: str = processor.apply_chat_template(messages, chat_template=template, tokenize=False)
        return text, []
    from transformers.utils.chat_template_utils import render_jinja_template

    own = template or processor.chat_template
    with templated(label, processor):
        texts, found = render_jinja_template(
            conversations=[messages],
            chat_template=own["default"] if isinstance(own, dict) else own,
            return_assistant_tokens_mask=True,
            **processor.tokenizer.special_tokens_map,
        )
    return texts[0], found[0]


def moved_spans(processor: Any, text: str, around: Sequence[tuple[str, str]], spans: Spans) -> Spans:
    """Where the spans lie once each placeholder of the text stands between the words around its image."""
    token = image_token(processor)
    ends, gained, start = [], [0], 0
    if spelt_out(text, token, around) == text:
        return spans
    for before, after in around:
        start = text.index(token, start) + len(token)
        ends.append(start)
        gained.append(gained[-1] + len(before) + len(after))
    return [tuple(char + gained[bisect.bisect_right(ends, char)] for char in span) for span in spans]  # type: ignore[misc]


def inside_spans(offsets: Sequence[tuple[int, int]], spans: Spans) -> np.ndarray:
    """Whether a token overlaps one of the spans, (L,), from the offsets of tokens in the text."""
    inside_L = np.zeros(len(offsets), dtype=bool)
    if not len(offsets):
        return inside_L
    start_L, end_L = np.asarray(offsets).T
    for start, end in spans:
        inside_L |= (start_L < end) & (end_L > start)
    return inside_L


def structured(messages: Iterable[dict[str, Any]], images: int, label: str) -> list[dict[str, Any]]:
    """Messages whose content is a list of parts, with image placeholders before the first user text if none are set.

    Raises:
        DataError: an unknown role, or placeholders that do not match the number of images.
    """
    from trl.data_utils import prepare_multimodal_messages

    clean = [without_empty_fields(message) for message in messages]
    placeholders = sum(
        part.get("type") == "image"
        for message in clean
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )
    textual = any(isinstance(message.get("content"), str) for message in clean if message.get("role") == "user")
    if placeholders != images and not (textual and not placeholders):
        raise DataError(mismatch(label, images, placeholders))
    try:
        return prepare_multimodal_messages(clean, images=["image"] * images)
    except ValueError as error:
        raise DataError(f"{label}: {error}") from error


def require_row_words(row: dict[str, Any], preferences: bool, text_field: str, label: str) -> None:
    """Nothing for a row of TRL's columns of which each answer, each prompt and the text say something.

    Raises:
        DataError: one does not, or nobody answers.
    """
    if preferences:
        for pair in answer_pairs(row, label):
            require_words(pair, ("prompt", "chosen", "rejected"), label)
    elif row.get("messages") is not None:
        require_answers(row["messages"], label)
    elif "prompt" in row and "completion" in row:
        require_words(row, ("prompt", "completion"), label)
    elif row.get(text_field) is not None:
        require_text(row[text_field], text_field, label)
    elif row.keys() & {text_field, "messages"} and "input_ids" not in row:
        raise DataError(_empty("messages" if "messages" in row else text_field, label))


def require_answers(messages: Any, label: str) -> None:
    """Raise DataError for a conversation without an answer, or with one that says nothing."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise DataError(
            f"{label}: expected messages with role and content, got {str(messages)[:60]!r}. Mend the row, or drop it."
        )
    answers = [message for message in messages if message.get("role") == "assistant"]
    if not answers:
        raise DataError(f"{label}: no message of an assistant, so nothing is answered. Add one, or drop the row.")
    for number, message in enumerate(answers, start=1):
        if not (is_said_otherwise(message) or any(map(_says_something, _parts(message)))):
            which = f"messages, turn {number} of the assistant" if len(answers) > 1 else "messages"
            raise DataError(_empty(which, label))


def require_text(text: str, column: str, label: str) -> None:
    """Raise DataError for a text of blanks alone."""
    if isinstance(text, str) and not text.strip():
        raise DataError(f"{label}: {column} is empty. Fill it in, or drop the row.")


def is_said_otherwise(message: dict[str, Any]) -> bool:
    """Whether a message says something outside its content."""
    return any(message.get(field) for field in SAID_FIELDS)


def require_words(row: dict[str, Any], columns: Sequence[str], label: str) -> None:
    """Raise DataError for a column without words, if it is not a prompt that is an image and nothing else."""
    for column in columns:
        value = row.get(column)
        messages = [{"content": value}] if isinstance(value, str) else value or []
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise DataError(
                f"{label}: expected {column} as a text or as messages with role and content, got {str(value)[:60]!r}. "
                "Mend the row, or drop it."
            )
        parts = [part for message in messages for part in _parts(message)]
        if not any(map(is_said_otherwise, messages)) and not any(map(_says_something, parts)):
            raise DataError(_empty(column, label))


def _parts(message: dict[str, Any]) -> list[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else [content]


def _says_something(part: Any) -> bool:
    if isinstance(part, dict) and part.get("type") == "image":
        return True
    text = part.get("text") if isinstance(part, dict) else part
    return isinstance(text, str) and bool(text.strip())


def _require_content(value: Any, column: str, label: str) -> None:
    """Raise DataError where there is neither a text nor a conversation, or a message of one says nothing at all."""
    messages = [{"content": value}] if value is None or isinstance(value, str) else value
    if not len(messages) or any(m.get("content") is None and not m.get("tool_calls") for m in messages):
        raise DataError(_empty(column, label))


def _empty(column: str, label: str) -> str:
    noun = "prompt" if column == "prompt" else f"answer ({column})"
    return f"{label}: the {noun} is empty. Fill it in, or drop the row."


def without_empty_fields(message: dict[str, Any]) -> dict[str, Any]:
    """The message without the None fields that Arrow fills in where rows differ in shape."""
    content = message.get("content")
    if isinstance(content, list):
        content = [{key: value for key, value in part.items() if value is not None} for part in content]
    return {**{key: value for key, value in message.items() if value is not None}, "content": content}
