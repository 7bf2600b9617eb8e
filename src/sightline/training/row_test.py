"""Compare our encoded rows with those of TRL's collator and the processor, on rows that differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from sightline.data.encoding.checks import ReadRows
from sightline.data.encoding.preferences import answer_pairs
from sightline.data.encoding.processors import layout_of
from sightline.data.encoding.rendering import render_columns, without_empty_fields
from sightline.data.encoding.sequences import EncodedBatch, SequenceEncoder
from sightline.data.pictures.images import IMAGE_COLUMNS, image_size, open_image, row_images, storage_key
from sightline.engine.routes import plain_inputs
from sightline.errors import DataError
from sightline.types import FamilyFacts, TokenSequence

FIRST_ROWS, SPREAD_ROWS = 32, 96  # looked at: rows that follow one another often share an image
COMPARED_ROWS, ROUTE_ROWS = 8, 3
PIXEL_TOLERANCE = 1e-4
_MESSAGES = ("messages", "prompt", "completion", "chosen", "rejected")


@dataclass(frozen=True)
class ChosenRows:
    """Rows of a dataset that stand for the others.

    Attributes:
        compared: rows that differ in images, sizes, turns, roles and texts, those with the most that is new first.
        routed: the first of them, and one that shares an image where there is such a row.
    """

    compared: tuple[dict[str, Any], ...]
    routed: tuple[dict[str, Any], ...]


def choose_rows(dataset: Any, read: ReadRows | None = None) -> ChosenRows:
    """Rows to test a run on, their pictures open; of a streamed dataset among its first ones.

    Sizes are those that reading the rows found, or stand in the heads of files.

    Raises:
        DataError: a picture of a row that is chosen cannot be read.
    """
    numbers, seen = _seen(dataset, read)
    looks = [_look(row) for row in seen]
    _mark_extremes(seen, looks, [_first_size(row, read, number) for number, row in zip(numbers, seen, strict=True)])
    chosen: list[int] = []
    known: set[Any] = set()
    while len(chosen) < min(COMPARED_ROWS, len(seen)):
        best = max(range(len(seen)), key=lambda index: len(looks[index] - known) if index not in chosen else -1)
        if chosen and not looks[best] - known:
            break
        chosen.append(best)
        known |= looks[best]
    routed = chosen[:ROUTE_ROWS]
    keys = [[*map(storage_key, row_images(row))] for row in seen]
    beside = [
        index for index in range(len(seen)) if index not in routed and any(keys[index] == keys[one] for one in routed)
    ]
    shared = [index for index in beside if row_images(seen[index])][:1]
    pictures: dict[str, Any] = {}
    opened = [
        _opened(seen[index], f"row {place} of those looked at", pictures)
        for place, index in enumerate([*chosen, *shared], start=1)
    ]
    compared, others = opened[: len(chosen)], opened[len(chosen) :]
    return ChosenRows(tuple(compared), (*compared[:ROUTE_ROWS], *others))


def _opened(row: dict[str, Any], name: str, pictures: dict[str, Any]) -> dict[str, Any]:
    """The row with its pictures open, each distinct one opened once; `pictures` has those that are, by storage_key."""

    def opened(value: Any) -> Any:
        key = storage_key(value)
        if key not in pictures:
            pictures[key] = open_image(value, name)
        return pictures[key]

    columns = {column: row[column] for column in IMAGE_COLUMNS if row.get(column) is not None}
    return row | {
        column: [*map(opened, value)] if isinstance(value, list) else opened(value) for column, value in columns.items()
    }


def find_difference(
    rows: Sequence[dict[str, Any]], encoder: SequenceEncoder, collate: Any, facts: FamilyFacts, preferences: bool
) -> str:
    """Why our rows are not those of `collate`, TRL's own collator; empty where they are, or where TRL makes none.

    Raises:
        DataError: a row that cannot be read.
    """
    ours = encoder.with_settings(replace(encoder.settings, max_length=None, perturbation=None))
    theirs = replace(collate, max_length=None)
    for number, row in enumerate(rows, start=1):
        name = f"row {number} of those looked at"
        batch = ours.encode_preferences([row], [name]) if preferences else ours.encode_sft([row], [name])
        if not all(batch.is_apart):
            return "its tokenizer may merge an image's tokens with the words beside them"
        expected = _expected(encoder, theirs, row, preferences, name)
        if expected is None:
            continue
        found = _columns(batch, encoder.processor, facts, preferences)
        different = _different(found, expected)
        if different:
            return f"{different} of {name} are not what TRL and the processor make of it"
    return ""


def opened_rows(rows: Iterable[dict[str, Any]], names: Iterable[str], preferences: bool) -> list[dict[str, Any]]:
    """Rows as TRL's collators take them: pictures open, a pair for each rejected answer, no empty fields, and no text
    beside prompt and completion, which they (TRL 1.16) would train in their place."""
    opened = []
    for row, name in zip(rows, names, strict=False):
        images = [open_image(image, name) for image in row_images(row)]
        for pair in answer_pairs(row, name) if preferences else [row]:
            other = {"image", "text"} if {"prompt", "completion"} <= pair.keys() else {"image"}
            kept = {column: value for column, value in pair.items() if column not in other and value is not None}
            for column in _MESSAGES:
                if isinstance(kept.get(column), list):
                    kept[column] = [without_empty_fields(message) for message in kept[column]]
            opened.append({**kept, "images": images})
    return opened


def _seen(dataset: Any, read: ReadRows | None) -> tuple[list[int], list[dict[str, Any]]]:
    """Numbers of rows that are looked at, and the rows; none that is known to be bad."""
    if not isinstance(dataset, Dataset):
        rows = list(itertools.islice(dataset, FIRST_ROWS))
        return list(range(len(rows))), rows
    spread = np.linspace(0, len(dataset) - 1, min(SPREAD_ROWS, len(dataset))).astype(int).tolist()
    numbers = list(dict.fromkeys([*range(min(FIRST_ROWS, len(dataset))), *spread]))
    if read is not None:
        numbers = [number for number in numbers if number not in read.broken]
    return numbers, [dataset[number] for number in numbers]


def _first_size(row: dict[str, Any], read: ReadRows | None, number: int) -> tuple[int, int] | None:
    """Width and height of a row's first image; None where it has none, or cannot be read: training names it then."""
    if read is not None:
        own = read.shown[number][0]
        return own[0][1] if own else None
    try:
        return next((image_size(image, "a row") for image in row_images(row)[:1]), None)
    except DataError:
        return None


def _look(row: dict[str, Any]) -> set[Any]:
    """What is particular to a row's form."""
    look: set[Any] = {("images", len(row_images(row))), ("columns", *(key for key in row if row[key] is not None))}
    for column in _MESSAGES:
        value = row.get(column)
        messages = value if isinstance(value, list) else [{"role": "", "content": value}]
        look.add((column, *(message.get("role") for message in messages if isinstance(message, dict))))
        for message in (message for message in messages if isinstance(message, dict)):
            content = message.get("content")
            parts = content if isinstance(content, list) else [content]
            look.add((column, type(content).__name__, *(part.get("type") for part in parts if isinstance(part, dict))))
            texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
            look |= {(column, trait) for text in texts if isinstance(text, str) for trait in _traits(text)}
    return look


def _traits(text: str) -> list[str]:
    found = {
        "empty": not text.strip(),
        "not ascii": not text.isascii(),
        "starts blank": text[:1].isspace(),
        "ends blank": text[-1:].isspace(),
        "newlines": "\n\n" in text,
        "tag": "<" in text or "[" in text,
    }
    return [trait for trait, holds in found.items() if holds]


def _mark_extremes(rows: list[dict[str, Any]], looks: list[set[Any]], first: list[tuple[int, int] | None]) -> None:
    """Say which rows show the largest, the smallest, the widest and the tallest image, and which are the longest.

    `first` are the sizes of their first images.
    """
    sizes = {index: size for index, size in enumerate(first) if size is not None}
    measures = {"area": lambda size: size[0] * size[1], "shape": lambda size: size[0] / size[1]}
    for name, measure in measures.items():
        for pick in (min, max):
            if sizes:
                looks[pick(sizes, key=lambda index: measure(sizes[index]))].add((pick.__name__, name))
    if rows:
        texts = [len(str([row.get(column) for column in _MESSAGES])) for row in rows]
        looks[int(np.argmax(texts))].add("longest")


def _expected(
    encoder: SequenceEncoder, collate: Any, row: dict[str, Any], preferences: bool, name: str
) -> dict[str, Tensor] | None:
    """What TRL makes of the row; of prompts that it cannot hand to the processor, the processor's; None for nothing."""
    if not encoder.settings.keywords:
        row = {**row, "chat_template_kwargs": None}
    opened = opened_rows([row], [name], preferences)
    try:
        if layout_of(encoder.processor).prompts_alone:
            return _processors_prompt(encoder, opened[0], name)
        return dict(collate(opened))
    except Exception:  # TRL, a template or a processor may raise anything for a row that it does not take
        return None


def _processors_prompt(encoder: SequenceEncoder, row: dict[str, Any], name: str) -> dict[str, Tensor]:
    images = row["images"]
    columns = [column for column in ("prompt", "completion", "chosen", "rejected") if column in row]
    text = render_columns(encoder.processor, row, len(images), columns, name)[0]
    given = encoder.processor(
        images=[images] if images else None, text=[text], return_tensors="pt", add_special_tokens=False
    )
    return {"prompt_ids": given["input_ids"], **{key: given[key] for key in given if key.startswith("pixel")}}


def _columns(batch: EncodedBatch, processor: Any, facts: FamilyFacts, preferences: bool) -> dict[str, Tensor]:
    """Our plain rows under TRL's names."""
    if layout_of(processor).prompts_alone:
        sequence = batch.sequences[0]
        return {"prompt_ids": torch.from_numpy(_prompt_L(sequence))[None], **batch.image_inputs}
    pad_id = processor.tokenizer.pad_token_id
    columns = plain_inputs(batch.sequences, batch.image_inputs, pad_id, batch.counts, facts)
    if preferences:
        columns["completion_mask"] = (columns.pop("labels") != -100).long()
    return columns


def _prompt_L(sequence: TokenSequence) -> np.ndarray:
    scored = int(sequence.scored_L.sum())
    return sequence.ids_L[: len(sequence.ids_L) - scored] if scored < len(sequence.ids_L) else sequence.ids_L


def _different(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    """The first tensor that differs, padding apart, or an empty string; the prompt's alone where no more is known."""
    names = [name for name in theirs if name in ours] if "prompt_ids" in theirs else sorted({*ours, *theirs})
    seen = theirs.get("attention_mask")
    for name in names:
        if name not in ours or name not in theirs or not _equal(ours[name], theirs[name], seen):
            return name
    return ""


def _equal(ours: Tensor, theirs: Tensor, seen: Tensor | None) -> bool:
    if seen is not None and ours.shape == theirs.shape == seen.shape:
        return torch.equal(ours * seen, theirs * seen)
    if ours.shape != theirs.shape and ours.dim() == theirs.dim() >= 4:
        ours, theirs = _tiles(ours), _tiles(theirs)  # Idefics3 has the tiles of a row in its second axis
    if ours.shape != theirs.shape:
        return False
    return float((ours.float() - theirs.float()).abs().max()) <= PIXEL_TOLERANCE if ours.numel() else True


def _tiles(value: Tensor) -> Tensor:
    flat = value.flatten(0, 1)
    return flat[flat.flatten(1).ne(0).any(1)]
