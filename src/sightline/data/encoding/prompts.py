"""Render questions by a model's chat template: text with one placeholder per image, and its token ids."""

# Dims: L tokens of a text.
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.data.encoding.bounded_templates import bound_templates
from sightline.data.encoding.own_words import token_ids, tokenizing
from sightline.data.encoding.processors import Layout, layout_of, prompt_ids
from sightline.data.encoding.rendering import missing_template, templated
from sightline.errors import DataError, InputError
from sightline.types import SYSTEM, Picture, Question, Turn

MARK = re.compile(r"<image (\d+)>")


@dataclass(frozen=True)
class Prompt:
    """A question as the model reads it, up to where its answer starts.

    Attributes:
        text: by the chat template, with the processor's placeholder where a picture stands.
        ids_L: token ids, one for each placeholder and none of what the processor writes around it.
        pictures: the picture behind each placeholder, in order.
        adds_tokens: whether the tokenizer adds its own special tokens: only where neither the template writes a start
            token nor the processor, as in transformers.
    """

    text: str
    ids_L: np.ndarray
    pictures: tuple[Picture, ...]
    adds_tokens: bool


def adopt_template(processor: Any) -> None:
    """Makes the chat template that was set on the processor's tokenizer alone the processor's own.

    transformers does so by `save_pretrained` and `from_pretrained`, and refuses to render before. From now on templates
    are rendered within bounds, by whoever renders them.
    """
    bound_templates()
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is not None and not processor.chat_template and tokenizer.chat_template:
        processor.chat_template = tokenizer.chat_template


def check_template(processor: Any, name: str) -> None:
    """Raise InputError for a processor without chat template; `name` is the model's."""
    adopt_template(processor)
    if not processor.chat_template:
        raise InputError(
            f"{name} has no chat template, so a question cannot be put into its words. "
            "Save one with the processor (`processor.chat_template = ...`, `processor.save_pretrained(FOLDER)`)."
        )
    if isinstance(processor.chat_template, dict) and "default" not in processor.chat_template:
        raise InputError(f"{name}: {missing_template(processor)}")


def template_arguments(
    processor: Any, name: str, system: str = "", enable_thinking: bool | None = None
) -> dict[str, Any]:
    """What a chat template is told besides messages: whether the model is to think.

    Args:
        name: the model's.
        system: a system message that questions will bring.

    Raises:
        InputError: there is no chat template, or one that has no place for these.
    """
    check_template(processor, name)
    if enable_thinking is not None and "enable_thinking" not in str(processor.chat_template):
        raise InputError(
            f"--enable_thinking: the chat template of {name} knows no enable_thinking, so it would change nothing. "
            "Leave it out."
        )
    if system.strip():
        try:
            render_prompt(processor, Question("?", turns=(Turn(SYSTEM, system),)))
        except InputError as error:
            raise InputError(
                f"--system: the chat template of {name} has no place for a system message. Leave it out, and put what "
                f"it says into the questions. What came of it: {error}"
            ) from error
    return {} if enable_thinking is None else {"enable_thinking": enable_thinking}


def render_prompt(processor: Any, question: Question, arguments: Mapping[str, Any] | None = None) -> Prompt:
    """The prompt of a question and the turns before it; `arguments` are those of the template.

    Raises:
        DataError: the text marks a picture that the question does not have, or the template leaves out what is said.
    """
    said = said_of(question)
    pictures = tuple(part for one in said for part in one.parts if not isinstance(part, str))
    with templated("A question", processor):
        text = _rendered(processor, said, arguments or {})
    bos = processor.tokenizer.bos_token
    adds_tokens = layout_of(processor) == Layout() and not (bos and text.startswith(bos))
    ids_L = _text_ids(processor, text, adds_tokens, (("", ""),) * len(pictures))
    return Prompt(text, ids_L, pictures, adds_tokens)


def _rendered(processor: Any, said: Sequence[Said], arguments: Mapping[str, Any]) -> str:
    """The messages by the template, a system message in parts or as a text, whichever of them it takes."""
    systems = [part for one in said if one.role == SYSTEM for part in one.parts if isinstance(part, str)]
    refused: Exception | None = None
    for as_text in (False, True) if systems else (False,):
        messages = [_message(one, as_text and one.role == SYSTEM) for one in said]
        try:
            text: str = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **arguments)
        except Exception as error:  # a template may raise anything for what it does not take
            refused = refused or error
            continue
        # A list of parts that a template takes for a text is written as Python writes it.
        if all(system.strip() in text and f"'text': {system!r}" not in text for system in systems):
            return text
    if refused is not None:
        raise refused
    raise DataError("The chat template leaves a system message out. Put what it says into the questions.")


def _message(said: Said, as_text: bool) -> dict[str, Any]:
    if as_text:
        return {"role": said.role, "content": "".join(part for part in said.parts if isinstance(part, str))}
    return {"role": said.role, "content": [_as_part(part) for part in said.parts]}


def ids_around(processor: Any, prompt: Prompt, around: Sequence[tuple[str, str]]) -> np.ndarray:
    """Token ids of a prompt whose pictures the processor puts between words: `around` are those of each picture."""
    if not any(before or after for before, after in around):
        return prompt.ids_L
    return _text_ids(processor, prompt.text, prompt.adds_tokens, around)


def _text_ids(processor: Any, text: str, adds_tokens: bool, around: Sequence[tuple[str, str]]) -> np.ndarray:
    label = "The question"
    return prompt_ids(processor, lambda words: token_ids(processor, words, label, adds_tokens), text, around, label)


@dataclass(frozen=True)
class Said:
    """A message in parts: its texts and pictures in reading order."""

    role: str
    parts: tuple[Picture | str, ...]


def said_of(question: Question) -> list[Said]:
    """The turns before a question and the question itself, in parts: each picture at its first mark in any of them,
    those without one before the first text of the user. A later mark of the same picture stays what it is, words.

    >>> (said,) = said_of(Question("Is <image 2> red?", (a, b)))
    >>> [part if isinstance(part, str) else part.key for part in said.parts]
    ['a', 'Is ', 'b', ' red?']
    """
    turns = (*question.turns, Turn("user", question.text))
    marked: set[int] = set()
    said = [Said(turn.role, _parts_of(turn.text, question.pictures, marked)) for turn in turns]
    first = next(place for place, turn in enumerate(turns) if turn.role == "user")
    unmarked = [picture for number, picture in enumerate(question.pictures, start=1) if number not in marked]
    said[first] = Said("user", (*unmarked, *said[first].parts))
    return said


def _parts_of(text: str, pictures: tuple[Picture, ...], marked: set[int]) -> tuple[Picture | str, ...]:
    """A text's parts; the numbers of the pictures that it shows for the first time join those `marked` before."""
    parts: list[Picture | str] = []
    start = 0
    for mark in MARK.finditer(text) if pictures else ():
        number = int(mark.group(1))
        if not 1 <= number <= len(pictures):
            raise DataError(
                f"The text marks {mark.group()}, but the question has {len(pictures)} pictures: "
                f"{text[:80]!r}. Add the picture, or take the mark out."
            )
        if number in marked:
            continue
        marked.add(number)
        parts += [text[start : mark.start()], pictures[number - 1]]
        start = mark.end()
    return tuple(part for part in (*parts, text[start:]) if part != "")


def _as_part(part: Picture | str) -> dict[str, str]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}


def option_ids(processor: Any, option: str) -> np.ndarray:
    """Token ids of an option, tokenized apart from the prompt that it follows, as TRL's completions are.

    Raises:
        DataError: there are none.
    """
    with tokenizing(f"The option '{option[:60]}'"):
        ids = processor.tokenizer(option, add_special_tokens=False)["input_ids"]
    if not ids:
        raise DataError(f"The option '{option}' has no tokens in the model's vocabulary. Reword it, or drop the item.")
    return np.asarray(ids, dtype=np.int64)
