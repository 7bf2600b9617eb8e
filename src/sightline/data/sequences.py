"""Turn rows into sequences and image tensors: each distinct image is processed once, each text once."""

# Dims: L tokens of a sequence.
from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Hashable, Iterable, Sequence as Many
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sightline.data.fit import LENGTH_POLICIES, FittedRow, fit_row
from sightline.data.images import Change, ChangedImage, content_key, open_image, stored_key
from sightline.data.preferences import answer_pairs, image_groups
from sightline.data.processors import (
    FRONT,
    ImageTable,
    expand_images,
    layout_of,
    mismatch,
    process_images,
    prompt_ids,
    start_token,
)
from sightline.errors import ConfigError, DataError
from sightline.types import Sequence

MAX_REMEMBERED_TEXTS = 100_000


@dataclass(frozen=True)
class EncodedBatch:
    """Sequences of a batch with the tensors of its distinct images.

    Attributes:
        sequences: SFT: one per row. Preferences: as `encode_preferences` orders them.
        image_inputs: the processor's tensors for the distinct images (`pixel_values`, ...); empty without images.
        image_spans: content key of each distinct image, and how many rows of the feature table are its own.
        counts: placeholders of each distinct image.
    """

    sequences: tuple[Sequence, ...]
    image_inputs: dict[str, Any]
    image_spans: tuple[tuple[str, int], ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class EncodingSettings:
    """How rows become sequences; the names are TRL's.

    Attributes:
        max_length: the most tokens of a sequence, None for any number.
        length_policy: what becomes of longer ones, one of `LENGTH_POLICIES`.
        completion_only_loss: score the completion of prompt-completion rows only.
        assistant_only_loss: score the assistant's turns of `messages` only.
        chat_template: used instead of the processor's own for `messages`.
        dataset_text_field: column of plain text rows.
        perturbation: with it, chosen answers are also scored under other images.
    """

    max_length: int | None = None
    completion_only_loss: bool = True
    assistant_only_loss: bool = False
    chat_template: str | None = None
    dataset_text_field: str = "text"
    perturbation: Change | None = None
    length_policy: str = "truncate"

    def __post_init__(self) -> None:
        if self.length_policy not in LENGTH_POLICIES:
            raise ConfigError(
                f"length_policy: expected one of {', '.join(LENGTH_POLICIES)}; got '{self.length_policy}'."
            )


@dataclass(frozen=True)
class _Text:
    """Token ids of a rendered row with one placeholder per image, and which of them are scored."""

    ids_L: np.ndarray
    scored_L: np.ndarray


class SequenceEncoder:
    """Encodes rows with a processor; remembers texts that it has rendered and tokenized before."""

    def __init__(self, processor: Any, settings: EncodingSettings) -> None:
        self.processor = processor
        self.settings = settings
        self._texts: dict[str, tuple[_Text, ...]] = {}

    def encode_sft(self, rows: Many[dict[str, Any]], names: Many[str] | None = None) -> EncodedBatch:
        """One sequence per row of `messages`, `prompt` + `completion`, or plain text.

        Raises:
            DataError: placeholders and images of a row do not match, or nothing of it would be scored.
        """
        return self._encode(rows, names, preferences=False)

    def encode_preferences(self, rows: Many[dict[str, Any]], names: Many[str] | None = None) -> EncodedBatch:
        """The chosen answers of all pairs, then the rejected ones: a row of `prompt`, `chosen`, `rejected` has a pair
        for each of its rejected answers. With `perturbation`, then the chosen answers once more, under other images.

        Raises:
            DataError: placeholders and images of a row do not match, or nothing of it would be scored.
        """
        return self._encode(rows, names, preferences=True)

    def preference_keys(self, row: dict[str, Any], name: str = "row") -> tuple[tuple[str, ...], ...]:
        """For each pair of a row the keys of its sequences, found without opening images: their tokens, which of them
        are scored, their images as stored, `max_length` and `length_policy`. The processor's settings are not in
        them."""
        groups = [
            [stored_key(image) for image in group] for group in image_groups(row, self.settings.perturbation, name)
        ]
        keys = []
        for pair in answer_pairs(row, name):
            chosen, rejected = self._remembered(pair, len(groups[0]), self._preference_texts, name)
            shown = [(chosen, groups[0]), (rejected, groups[0]), *((chosen, group) for group in groups[1:])]
            keys.append(tuple(_sequence_key(text, group, self.settings) for text, group in shown))
        return tuple(keys)

    def read(
        self, row: dict[str, Any], table: ImageTable, shown: Many[tuple[int, ...]], preferences: bool, name: str
    ) -> FittedRow:
        """One row's sequences, ordered as in a batch; raises what `encode_*` would.

        `shown` are the places of its images in the table, then those that its chosen answers are scored under besides.
        """

        def render(row: dict[str, Any]) -> tuple[Sequence, ...]:
            own, *others = shown
            if not preferences:
                (text,) = self._remembered(row, len(own), self._sft_texts, name)
                return (self._expand(text, own, table, name),)
            pairs = answer_pairs(row, name)
            texts = [self._remembered(pair, len(own), self._preference_texts, name) for pair in pairs]
            parts = [(0, own), (1, own), *((0, group) for group in others)]
            return tuple(self._expand(text[part], group, table, name) for part, group in parts for text in texts)

        return fit_row(row, render, self.settings, self.processor.tokenizer, name)

    def _encode(self, rows: Many[dict[str, Any]], names: Many[str] | None, preferences: bool) -> EncodedBatch:
        labels = _labels(rows, names)
        groups = [
            image_groups(row, self.settings.perturbation if preferences else None, label)
            for row, label in zip(rows, labels, strict=True)
        ]
        pictures = [(group, label) for own, label in zip(groups, labels, strict=True) for group in own]
        table, shown = self._encode_images([group for group, _ in pictures], [label for _, label in pictures])
        places = iter(shown)
        read = [
            self.read(row, table, tuple(itertools.islice(places, len(own))), preferences, label).sequences
            for row, own, label in zip(rows, groups, labels, strict=True)
        ]
        parts = 1 + len(groups[0]) if preferences else 1
        sequences = [one for part in range(parts) for own in read for one in _part(own, part, parts)]
        spans = tuple(zip(table.keys, table.counts, strict=True))
        return EncodedBatch(tuple(sequences), table.image_inputs, spans, table.counts)

    def _encode_images(self, pictures: list[list[Any]], labels: Many[str]) -> tuple[ImageTable, list[tuple[int, ...]]]:
        """The table of distinct images, and for each row the indices of the images it shows."""
        opened: dict[Hashable, tuple[str, Any]] = {}
        distinct: dict[tuple[bool, str], Any] = {}
        rows: list[list[tuple[bool, str]]] = []
        for images, label in zip(pictures, labels, strict=True):
            rows.append([])
            for value in images:
                stored = _stored_key(value)
                if stored not in opened:
                    image = open_image(value, label)
                    opened[stored] = content_key(image), image
                key, image = opened[stored]
                rows[-1].append((self.is_beside(images), key))
                distinct.setdefault(rows[-1][-1], image)
        order = sorted(distinct, key=lambda entry: entry[0])  # images that are alone in a row first, else as they came
        table = process_images(self.processor, [distinct[entry] for entry in order], [beside for beside, _ in order])
        index_of = {entry: index for index, entry in enumerate(order)}
        keys = tuple(f"{key} beside others" if beside else key for beside, key in order)
        return replace(table, keys=keys), [tuple(index_of[entry] for entry in row) for row in rows]

    def is_beside(self, images: Many[Any]) -> bool:
        """Whether the images of a row are processed in another way because they share it."""
        return len(images) > 1 and bool(layout_of(self.processor).beside)

    def _remembered(self, row: dict[str, Any], images: int, texts_of: Any, label: str) -> tuple[_Text, ...]:
        parts: dict[str, Any] = {
            key: row[key] for key in ("messages", "prompt", "completion", "chosen", "rejected") if key in row
        }
        parts[self.settings.dataset_text_field] = row.get(self.settings.dataset_text_field)
        extra = [row.get("tools"), row.get("chat_template_kwargs")]
        key = json.dumps([parts, images, extra], sort_keys=True, default=repr)
        if key not in self._texts:
            if len(self._texts) >= MAX_REMEMBERED_TEXTS:
                self._texts.clear()
            self._texts[key] = texts_of(row, images, label)
        return self._texts[key]

    def _sft_texts(self, row: dict[str, Any], images: int, label: str) -> tuple[_Text, ...]:
        settings = self.settings
        if row.get("messages") is not None:
            return (self._messages_text(row, images, label),)
        if settings.assistant_only_loss:
            raise DataError(f"{label}: assistant_only_loss needs the column messages; found {', '.join(row)}.")
        if "prompt" in row and "completion" in row:
            prompt, completion = self._render(row, images, ("prompt", "completion"), label)
            return (self._joined(self._prompt(prompt, images, label), completion, settings.completion_only_loss),)
        self._check_whole_rows(images, label)
        ids_L = self._tokenize(row[settings.dataset_text_field])
        return (_Text(ids_L, np.ones(len(ids_L), dtype=bool)),)

    def _preference_texts(self, row: dict[str, Any], images: int, label: str) -> tuple[_Text, ...]:
        prompt, chosen, rejected = self._render(row, images, ("prompt", "chosen", "rejected"), label)
        prompt_L = self._prompt(prompt, images, label)
        return self._joined(prompt_L, chosen, True), self._joined(prompt_L, rejected, True)

    def _render(self, row: dict[str, Any], images: int, columns: tuple[str, ...], label: str) -> list[str]:
        """The columns as text, by the chat template if they are conversations."""
        from trl.data_utils import apply_chat_template, is_conversational

        example: dict[str, Any] = {column: row[column] for column in columns}
        for column in columns:
            _require_text(example[column], column, label)
        if is_conversational(example):
            for column in columns:
                example[column] = structured(example[column], images if column == "prompt" else 0, label)
            example = apply_chat_template(
                {**example, "chat_template_kwargs": row.get("chat_template_kwargs") or {}},
                self.processor,
                tools=_tools(row),
            )
        return [example[column] for column in columns]

    def _prompt(self, prompt: str, images: int, label: str) -> np.ndarray:
        return prompt_ids(self.processor, self._tokenize, prompt, images, label)

    def _joined(self, prompt_L: np.ndarray, completion: str, completion_only: bool) -> _Text:
        """Prompt and completion tokenized apart, as TRL's vision collators do."""
        completion_L = self._tokenize(completion)
        scored_L = np.ones(len(prompt_L) + len(completion_L), dtype=bool)
        scored_L[: len(prompt_L)] = not completion_only
        return _Text(np.concatenate([prompt_L, completion_L]), scored_L)

    def _check_whole_rows(self, images: int, label: str) -> None:
        """Raise DataError for a row of prompt and answer in one where the processor must tell them apart."""
        layout = layout_of(self.processor)
        if images and (layout.image_in_front or layout.end):
            raise DataError(
                f"{label}: {type(self.processor).__name__} writes into the prompt by itself, so prompt and answer must "
                f"stand apart. Use the columns prompt and completion."
            )

    def _messages_text(self, row: dict[str, Any], images: int, label: str) -> _Text:
        self._check_whole_rows(images, label)
        output = self.processor.tokenizer.apply_chat_template(
            structured(row["messages"], images, label),
            tools=_tools(row),
            chat_template=self.settings.chat_template or self.processor.chat_template,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=self.settings.assistant_only_loss,
            **(row.get("chat_template_kwargs") or {}),
        )
        ids_L = np.asarray(output["input_ids"], dtype=np.int64)
        scored_L = np.ones(len(ids_L), dtype=bool)
        if self.settings.assistant_only_loss:
            scored_L = np.asarray(output["assistant_masks"], dtype=bool)
        if layout_of(self.processor).start == FRONT:
            start_L = self._tokenize(start_token(self.processor))
            if not np.array_equal(ids_L[: len(start_L)], start_L):
                ids_L, scored_L = np.concatenate([start_L, ids_L]), np.pad(scored_L, (len(start_L), 0), mode="edge")
        if not scored_L.any():
            raise DataError(f"{label}: no assistant turn to train on. Add one, or drop the row.")
        return _Text(ids_L, scored_L)

    def _tokenize(self, text: str) -> np.ndarray:
        return np.asarray(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)

    def _expand(self, text: _Text, shown: tuple[int, ...], table: ImageTable, label: str) -> Sequence:
        return expand_images(self.processor, text.ids_L, text.scored_L, shown, table, label)


def _part(sequences: tuple[Sequence, ...], part: int, parts: int) -> tuple[Sequence, ...]:
    size = len(sequences) // parts
    return sequences[part * size : (part + 1) * size]


def _labels(rows: Many[dict[str, Any]], names: Many[str] | None) -> tuple[str, ...]:
    return tuple(names) if names is not None else tuple(f"row {index + 1} of the batch" for index in range(len(rows)))


def _sequence_key(text: _Text, shown: list[str], settings: EncodingSettings) -> str:
    digest = hashlib.blake2b(text.ids_L.tobytes(), digest_size=16)
    digest.update(text.scored_L.tobytes())
    digest.update(f"{shown} {settings.max_length} {settings.length_policy}".encode())
    return digest.hexdigest()


def _stored_key(value: Any) -> Hashable:
    """What tells without opening that two values are the same picture: the bytes, the path, or the object."""
    if isinstance(value, ChangedImage):
        return repr(value.change), _stored_key(value.original)
    if isinstance(value, dict):
        return value.get("bytes") or str(value["path"])
    return value if isinstance(value, str | bytes) else id(value)


def structured(messages: Iterable[dict[str, Any]], images: int, label: str) -> list[dict[str, Any]]:
    """Messages whose content is a list of parts, with image placeholders before the first user text if none are set.

    Raises:
        DataError: an unknown role, or placeholders that do not match the number of images.
    """
    from trl.data_utils import prepare_multimodal_messages

    clean = [_without_empty_fields(message) for message in messages]
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


def _require_text(value: Any, column: str, label: str) -> None:
    """Raise DataError if a text, or every message of a conversation, is empty."""
    messages = [{"content": value}] if isinstance(value, str) else value or []
    contents = [message.get("content") for message in messages]
    texts = [
        part.get("text") if isinstance(part, dict) else part
        for content in contents
        for part in (content if isinstance(content, list) else [content])
    ]
    if not any(isinstance(text, str) and text.strip() for text in texts):
        noun = "prompt" if column == "prompt" else f"answer ({column})"
        raise DataError(f"{label}: the {noun} is empty. Fill it in, or drop the row.")


def _without_empty_fields(message: dict[str, Any]) -> dict[str, Any]:
    """The message without the None fields that Arrow fills in where rows differ in shape."""
    content = message.get("content")
    if isinstance(content, list):
        content = [{key: value for key, value in part.items() if value is not None} for part in content]
    return {**{key: value for key, value in message.items() if value is not None}, "content": content}


def _tools(row: dict[str, Any]) -> Any:
    tools = row.get("tools")
    return json.loads(tools) if isinstance(tools, str) else tools
