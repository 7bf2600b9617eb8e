"""Turn rows into token sequences and image tensors; each distinct image and text is processed once."""

# Dims: L tokens of a sequence.
from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sightline.data.encoding import own_words, processors, rendering
from sightline.data.encoding.borders import spelt_out
from sightline.data.encoding.fit import LENGTH_POLICIES, FittedRow, TokenCounts, count_tokens, fit_row
from sightline.data.encoding.preferences import answer_pairs, image_groups
from sightline.data.encoding.row_pictures import Kind, KnownKinds
from sightline.data.pictures.images import Change, ChangedImage, content_key, named_key, open_image
from sightline.errors import ConfigError, DataError, SightlineError
from sightline.types import TokenSequence

MAX_REMEMBERED_TEXTS = 100_000
Around = tuple[tuple[str, str], ...]  # the words that a processor writes around the tokens of each image of a row


@dataclass(frozen=True)
class EncodedBatch:
    """Sequences of a batch with the tensors of its distinct images.

    Attributes:
        sequences: SFT: one per row. Preferences: as `encode_preferences` orders them.
        image_inputs: the processor's tensors for the distinct images (`pixel_values`, ...); empty without images.
        image_spans: content key of each distinct image, and how many rows of the feature table are its own.
        counts: placeholders of each distinct image.
        is_apart: of each whether a row's words tokenize around its tokens as around its placeholder.
    """

    sequences: tuple[TokenSequence, ...]
    image_inputs: dict[str, Any]
    image_spans: tuple[tuple[str, int], ...] = ()
    counts: tuple[int, ...] = ()
    is_apart: tuple[bool, ...] = ()


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
        perturbation: with it, chosen answers are also scored under other images; its images keep their size.
        keeps_empty: rows without a word of prompt or answer are kept, as TRL keeps them.
        keywords: prompts and answers are rendered with their row's `chat_template_kwargs`.
    """

    max_length: int | None = None
    completion_only_loss: bool = True
    assistant_only_loss: bool = False
    chat_template: str | None = None
    dataset_text_field: str = "text"
    perturbation: Change | None = None
    length_policy: str = "truncate"
    keeps_empty: bool = False
    keywords: bool = True

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
        self.kinds = KnownKinds(processor)
        self._texts: dict[str, tuple[_Text, ...]] = {}
        self._templates: tuple[Any, Any] = None, None

    def with_settings(self, settings: EncodingSettings) -> SequenceEncoder:
        """An encoder of other settings that remembers what this one does; both must make the same texts of rows."""
        other = SequenceEncoder(self.processor, settings)
        other.kinds, other._texts, other._templates = self.kinds, self._texts, self._templates
        return other

    def reads_as(self, other: SequenceEncoder) -> bool:
        """Whether rows that both take become the same sequences: same processor, templates as they were, settings."""
        same = replace(other.settings, keeps_empty=self.settings.keeps_empty) == self.settings
        return same and self.processor is other.processor and other._templates == self._current_templates()

    def encode_sft(self, rows: Sequence[dict[str, Any]], names: Sequence[str] | None = None) -> EncodedBatch:
        """One sequence per row of `messages`, `prompt` + `completion`, or plain text.

        Raises:
            DataError: placeholders and images of a row do not match, or nothing of it would be scored.
        """
        return self._encode(rows, names, preferences=False)

    def encode_preferences(self, rows: Sequence[dict[str, Any]], names: Sequence[str] | None = None) -> EncodedBatch:
        """The chosen answers of all pairs, then the rejected ones: a row of `prompt`, `chosen`, `rejected` has a pair
        for each of its rejected answers. With `perturbation`, then the chosen answers once more, under other images.
        Raises as `encode_sft`.
        """
        return self._encode(rows, names, preferences=True)

    def preference_keys(self, row: dict[str, Any], name: str = "row") -> tuple[tuple[str, ...], ...]:
        """For each pair of a row the keys of its sequences, found without opening images: their tokens, which of them
        are scored, their images as stored, `max_length` and `length_policy`. The processor's settings are not in
        them."""
        groups = [
            [named_key(image, name) for image in group] for group in image_groups(row, self.settings.perturbation, name)
        ]
        keys = []
        for pair in answer_pairs(row, name):
            chosen, rejected = self._remembered(pair, (("", ""),) * len(groups[0]), self._preference_texts, name)
            shown = [(chosen, groups[0]), (rejected, groups[0]), *((chosen, group) for group in groups[1:])]
            keys.append(tuple(_sequence_key(text, group, self.settings) for text, group in shown))
        return tuple(keys)

    def read(
        self,
        row: dict[str, Any],
        table: processors.ImageTable,
        shown: Sequence[tuple[int, ...]],
        preferences: bool,
        name: str,
    ) -> FittedRow:
        """One row's sequences, ordered as in a batch; raises what `encode_*` would.

        `shown` are the places of its images in the table, then those that its chosen answers are scored under besides.
        """
        around = [tuple(table.expansions[image].around for image in group) for group in shown]

        def render(row: dict[str, Any]) -> tuple[TokenSequence, ...]:
            texts = self._texts_of(row, around, preferences, name)
            return tuple(self._expand(text, shown[group], table, name) for text, group in texts)

        return fit_row(row, render, self.settings, self.processor.tokenizer, name)

    def read_by_size(
        self, row: dict[str, Any], shown: Sequence[tuple[Kind, ...]], preferences: bool, name: str
    ) -> FittedRow:
        """What `read` gives for images of these kinds, which were learnt; they have no features of their own."""
        expansions = [part for group in shown for part in self.kinds.expansions(group, name)]
        places = iter(range(len(expansions)))
        placed = [tuple(itertools.islice(places, len(group))) for group in shown]
        return self.read(
            row, processors.ImageTable({}, tuple(expansions), (0,) * len(expansions)), placed, preferences, name
        )

    def count(
        self, row: dict[str, Any], shown: Sequence[tuple[Kind, ...]], preferences: bool, name: str
    ) -> TokenCounts:
        """The tokens of what `read_by_size` gives; raises what it does. Sequences are made where they are cut alone."""
        images = [self.kinds.expansions(group, name) for group in shown]
        around = [tuple(image.around for image in group) for group in images]
        counted = [
            processors.count_expanded(self.processor, text.ids_L, text.scored_L, images[group], name)
            for text, group in self._texts_of(row, around, preferences, name)
        ]
        length = max(one[0] for one in counted)
        if self.settings.max_length is not None and length > self.settings.max_length:
            return count_tokens(self.read_by_size(row, shown, preferences, name))
        total, trained, placeholders = map(sum, zip(*counted, strict=True))
        return TokenCounts(length, length, total, trained, placeholders)

    def _texts_of(
        self, row: dict[str, Any], around: Sequence[Around], preferences: bool, name: str
    ) -> list[tuple[_Text, int]]:
        """The texts of a row's sequences in order, each with the number of the group of images that it shows."""
        if not preferences:
            return [(self._remembered(row, around[0], self._sft_texts, name)[0], 0)]
        pairs = answer_pairs(row, name)
        read = [[self._remembered(pair, one, self._preference_texts, name) for pair in pairs] for one in around]
        parts = [(0, 0), (1, 0), *((0, group) for group in range(1, len(around)))]
        return [(texts[part], group) for part, group in parts for texts in read[group]]

    def _encode(self, rows: Sequence[dict[str, Any]], names: Sequence[str] | None, preferences: bool) -> EncodedBatch:
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
        apart = tuple(expansion.is_apart for expansion in table.expansions)
        return EncodedBatch(tuple(sequences), table.image_inputs, spans, table.counts, apart)

    def _encode_images(
        self, pictures: list[list[Any]], labels: Sequence[str]
    ) -> tuple[processors.ImageTable, list[tuple[int, ...]]]:
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
        label_of = {entry: label for row, label in reversed(list(zip(rows, labels, strict=True))) for entry in row}
        table = self._processed([(beside, distinct[beside, key], label_of[beside, key]) for beside, key in order])
        index_of = {entry: index for index, entry in enumerate(order)}
        keys = tuple(f"{key} beside others" if beside else key for beside, key in order)
        return replace(table, keys=keys), [tuple(index_of[entry] for entry in row) for row in rows]

    def _processed(self, images: list[tuple[bool, Any, str]]) -> processors.ImageTable:
        """The table of images, each with whether it shares its row and with the name of that.

        Raises:
            DataError: the processor does not take one of them.
        """
        try:
            return processors.process_images(
                self.processor, [image for _, image, _ in images], [one[0] for one in images]
            )
        except SightlineError:  # of the model, whatever the picture
            raise
        except Exception:
            for beside, image, label in images:
                try:
                    processors.process_images(self.processor, [image], [beside])
                except Exception as error:  # a processor may raise anything for a picture that it does not take
                    raise DataError(
                        processors.refusal(label, image.size, str(error) or type(error).__name__)
                    ) from error
            raise

    def is_beside(self, images: Sequence[Any]) -> bool:
        """Whether the images of a row are processed in another way because they share it."""
        return len(images) > 1 and bool(processors.layout_of(self.processor).beside)

    def _remembered(self, row: dict[str, Any], around: Around, texts_of: Any, label: str) -> tuple[_Text, ...]:
        parts: dict[str, Any] = {
            key: row[key] for key in ("messages", "prompt", "completion", "chosen", "rejected") if key in row
        }
        parts[self.settings.dataset_text_field] = row.get(self.settings.dataset_text_field)
        key = json.dumps([parts, around, row.get("chat_template_kwargs")], sort_keys=True, default=repr)
        if self._templates != self._current_templates():  # a script may set another one at any time
            self._texts.clear()
            self._templates = self._current_templates()
        if key not in self._texts:
            if len(self._texts) >= MAX_REMEMBERED_TEXTS:
                self._texts.clear()
            self._texts[key] = texts_of(row, around, label)
        return self._texts[key]

    def _current_templates(self) -> tuple[Any, Any]:
        return self.processor.chat_template, self.processor.tokenizer.chat_template

    def _sft_texts(self, row: dict[str, Any], around: Around, label: str) -> tuple[_Text, ...]:
        settings = self.settings
        if row.get("messages") is not None:
            return (self._messages_text(row, around, label),)
        if settings.assistant_only_loss:
            raise DataError(f"{label}: assistant_only_loss needs the column messages; found {', '.join(row)}.")
        if "prompt" in row and "completion" in row:
            prompt, completion = self._render(row, around, ("prompt", "completion"), label)
            return (
                self._joined(self._prompt(prompt, around, label), completion, settings.completion_only_loss, label),
            )
        processors.require_apart(self.processor, len(around), label)
        if not isinstance(row.get(settings.dataset_text_field), str):
            filled = ", ".join(name for name, value in row.items() if value is not None) or "nothing"
            raise DataError(
                f"{label}: expected messages, prompt and completion, or {settings.dataset_text_field}, got {filled}. "
                "Mend the row, or drop it."
            )
        if not settings.keeps_empty:
            rendering.require_text(row[settings.dataset_text_field], settings.dataset_text_field, label)
        ids_L = self._prompt(row[settings.dataset_text_field], around, label)
        return (_Text(ids_L, np.ones(len(ids_L), dtype=bool)),)

    def _preference_texts(self, row: dict[str, Any], around: Around, label: str) -> tuple[_Text, ...]:
        prompt, chosen, rejected = self._render(row, around, ("prompt", "chosen", "rejected"), label)
        prompt_L = self._prompt(prompt, around, label)
        return self._joined(prompt_L, chosen, True, label), self._joined(prompt_L, rejected, True, label)

    def _render(self, row: dict[str, Any], around: Around, columns: tuple[str, ...], label: str) -> list[str]:
        if not self.settings.keeps_empty:
            rendering.require_words(row, columns, label)
        if not self.settings.keywords:
            row = {**row, "chat_template_kwargs": None}
        return rendering.render_columns(self.processor, row, len(around), columns, label)

    def _prompt(self, prompt: str, around: Around, label: str) -> np.ndarray:
        return processors.prompt_ids(self.processor, lambda text: self._tokenize(text, label), prompt, around, label)

    def _joined(self, prompt_L: np.ndarray, completion: str, completion_only: bool, label: str) -> _Text:
        """Prompt and completion tokenized apart, as TRL's vision collators do."""
        completion_L = self._tokenize(
            completion.strip() if processors.layout_of(self.processor).strips else completion, label
        )
        scored_L = np.ones(len(prompt_L) + len(completion_L), dtype=bool)
        scored_L[: len(prompt_L)] = not completion_only
        return _Text(np.concatenate([prompt_L, completion_L]), scored_L)

    def _messages_text(self, row: dict[str, Any], around: Around, label: str) -> _Text:
        processors.require_apart(self.processor, len(around), label)
        if not self.settings.keeps_empty:
            rendering.require_answers(row["messages"], label)
        by_turns = self.settings.assistant_only_loss
        messages = rendering.structured(row["messages"], len(around), label)
        text, spans = rendering.render_messages(self.processor, messages, self.settings.chat_template, by_turns, label)
        if not by_turns:
            ids_L = self._prompt(text, around, label)
            return _Text(ids_L, np.ones(len(ids_L), dtype=bool))
        front = processors.front_ids(self.processor, text, len(around))
        start = len(processors.started(self.processor, text)) - len(text)
        spans = [
            (first + start, end + start) for first, end in rendering.moved_spans(self.processor, text, around, spans)
        ]
        text = spelt_out(processors.started(self.processor, text), processors.image_token(self.processor), around)
        with own_words.tokenizing(label):
            encoded = self.processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids_L = np.asarray(encoded["input_ids"], dtype=np.int64)
        own_words.require_own_words(self.processor, ids_L, label)
        ids_L = np.concatenate([front, ids_L])
        scored_L = np.pad(rendering.inside_spans(encoded["offset_mapping"], spans), (len(front), 0))
        if not scored_L.any() and not self.settings.keeps_empty:
            raise DataError(f"{label}: no assistant turn to train on. Add one, or drop the row.")
        return _Text(ids_L, scored_L)

    def _tokenize(self, text: str, label: str) -> np.ndarray:
        return own_words.token_ids(self.processor, text, label)

    def _expand(self, text: _Text, shown: tuple[int, ...], table: processors.ImageTable, label: str) -> TokenSequence:
        return processors.expand_images(self.processor, text.ids_L, text.scored_L, shown, table, label)


def _part(sequences: tuple[TokenSequence, ...], part: int, parts: int) -> tuple[TokenSequence, ...]:
    size = len(sequences) // parts
    return sequences[part * size : (part + 1) * size]


def _labels(rows: Sequence[dict[str, Any]], names: Sequence[str] | None) -> tuple[str, ...]:
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
