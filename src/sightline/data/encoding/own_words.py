"""Tokenize a text, and refuse the words in it that stand for something else: an image, a video, sound."""

# Dims: L tokens of a text.
from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sightline.data.encoding.processors import feature_token_id, hole_id, image_token, layout_of
from sightline.errors import DataError


def token_ids(processor: Any, text: str, label: str, adds_tokens: bool = False) -> np.ndarray:
    """Token ids of a text, (L,), of which none may be another's than words'; see `tokenizing`, `require_own_words`."""
    with tokenizing(label):
        ids_L = np.asarray(processor.tokenizer(text, add_special_tokens=adds_tokens)["input_ids"], dtype=np.int64)
    require_own_words(processor, ids_L, label)
    return ids_L


@contextmanager
def tokenizing(label: str) -> Iterator[None]:
    """Inside, a text is tokenized; `label` says whose.

    Raises:
        DataError: the tokenizer has no token for it, not even one for what is unknown.
    """
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:  # as the package tokenizers (0.22) raises all that its models lack
            raise
        raise DataError(
            f"{label}: the tokenizer cannot read the text: {error}. Mend tokenizer.json in the model's folder, or copy "
            "the folder again."
        ) from error


def require_own_words(processor: Any, ids_L: np.ndarray, label: str) -> None:
    """Raise DataError where a text holds a token that stands for part of an image, for a video or for sound."""
    _require_images_behind(processor, ids_L, label)
    foreign = foreign_tokens(processor)
    if not foreign:
        return
    held = np.isin(ids_L, list(foreign))
    if held.any():
        token = int(ids_L[held][0])
        raise DataError(
            f"{label}: the text holds {processor.tokenizer.convert_ids_to_tokens(token)!r}, which stands for "
            f"{'a part of an image' if foreign[token] == 'image' else foreign[token]}. Take it out of the text."
        )


def _require_images_behind(processor: Any, ids_L: np.ndarray, label: str) -> None:
    """Raise DataError where the token that opens an image has none behind it, but a path, say."""
    opens = layout_of(processor).opens
    if not opens:
        return
    behind_L = np.append(ids_L[1:], -1)[ids_L == processor.tokenizer.convert_tokens_to_ids(opens)]
    if (behind_L != hole_id(processor)).any():
        raise DataError(
            f"{label}: the text holds {opens} without {image_token(processor)} behind it. Nothing is opened from a "
            "text: give the image itself, or take the word out."
        )


@functools.lru_cache(maxsize=16)
def foreign_tokens(processor: Any) -> dict[int, str]:
    """Tokens that a text must not hold, and what they stand for: features, which have images, and other media."""
    tokenizer, hole = processor.tokenizer, hole_id(processor)
    ids = {feature_token_id(processor)}
    if "mm_token_type_ids" in processor.model_input_names:
        ids |= {int(token) for token in processor.image_token_ids if token is not None}
    found = dict.fromkeys(ids - {hole}, "image")
    for medium in ("video", "audio"):
        word = getattr(processor, f"{medium}_token", None)
        token = tokenizer.convert_tokens_to_ids(str(word)) if word is not None else None
        if token not in (None, tokenizer.unk_token_id, hole):
            found[token] = medium
    return found
