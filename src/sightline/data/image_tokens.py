"""From placeholders to image tokens: each distinct image is processed once, and its tokens know their feature rows."""

# Dims: L tokens of a text or sequence.
from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.errors import DataError
from sightline.types import Sequence


@dataclass(frozen=True)
class ImageTable:
    """The distinct images of a batch.

    Attributes:
        image_inputs: the processor's tensors.
        expansions: per image the ids that its placeholder becomes.
        first_rows: per image the row of its first feature in the batch's feature table.
        keys: per image the key of its pixels; empty where nobody asks for it.
        counts: placeholders of each image.
    """

    image_inputs: dict[str, Any]
    expansions: tuple[np.ndarray, ...]
    first_rows: tuple[int, ...]
    keys: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


def process_images(processor: Any, images: Many[Any]) -> ImageTable:
    """The table of distinct RGB images, from one call of the processor."""
    if not images:
        return ImageTable({}, (), ())
    encoded = processor(
        images=[[image] for image in images],
        text=[processor.image_token] * len(images),
        padding=True,
        padding_side="right",
        return_tensors="pt",
        add_special_tokens=False,
    )
    lengths = encoded["attention_mask"].sum(dim=1).tolist()
    expansions = tuple(ids[:length].numpy() for ids, length in zip(encoded["input_ids"], lengths, strict=True))
    image_inputs = {key: value for key, value in encoded.items() if key not in _TEXT_OUTPUTS}
    counts = tuple(int((ids == feature_token_id(processor)).sum()) for ids in expansions)
    return ImageTable(image_inputs, expansions, first_rows(counts), counts=counts)


def first_rows(counts: Many[int]) -> tuple[int, ...]:
    """Per image the row of its first feature, where image features stand one after another."""
    return tuple(np.cumsum([0, *counts[:-1]]).tolist()) if counts else ()


def expand_images(
    processor: Any, ids_L: np.ndarray, scored_L: np.ndarray, shown: tuple[int, ...], table: ImageTable, name: str
) -> Sequence:
    """The text with each placeholder replaced by the tokens of its image; `shown` are the images in order.

    Raises:
        DataError: the text has another number of placeholders than images.
    """
    holes = np.flatnonzero(ids_L == processor.image_token_id)
    if len(holes) != len(shown):
        raise DataError(mismatch(name, len(shown), len(holes)))
    ids, features, scored = [], [], []
    start = 0
    for hole, image in zip(holes.tolist(), shown, strict=True):
        expansion = table.expansions[image]
        is_placeholder = expansion == feature_token_id(processor)
        feature = np.where(is_placeholder, table.first_rows[image] + np.cumsum(is_placeholder) - 1, -1)
        ids += [ids_L[start:hole], expansion]
        features += [np.full(hole - start, -1), feature]
        scored += [scored_L[start:hole], np.full(len(expansion), scored_L[hole])]
        start = hole + 1
    ids.append(ids_L[start:])
    features.append(np.full(len(ids_L) - start, -1))
    scored.append(scored_L[start:])
    return Sequence(np.concatenate(ids), np.concatenate(features), np.concatenate(scored), shown, name)


def feature_token_id(processor: Any) -> int:
    """The token that stands for one feature row; Gemma 3 writes another one where an image goes in the text."""
    token: int | None = getattr(processor.tokenizer, "image_token_id", None)
    return processor.image_token_id if token is None else token


def mismatch(name: str, images: int, placeholders: int) -> str:
    """What to say of a text whose placeholders are not as many as its images."""
    advice = (
        'Add one {"type": "image"} part to the prompt, or drop an image.'
        if images > placeholders
        else "Add the missing image, or remove a placeholder from the prompt."
    )
    return (
        f"{name}: {images} image{'s' * (images != 1)}, but the prompt has {placeholders} "
        f"placeholder{'s' * (placeholders != 1)}. {advice}"
    )


_TEXT_OUTPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})
