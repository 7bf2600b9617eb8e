"""What a processor makes of images, and what it writes into a prompt by itself."""

# Dims: L tokens of a text, K tokens that an image's placeholder becomes.
from __future__ import annotations

from collections.abc import Callable, Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.errors import DataError

FRONT, AFTER_IMAGES = "front", "after_images"


@dataclass(frozen=True)
class Layout:
    """What a processor writes into a prompt by itself, and how it treats images; the default is nothing special.

    Attributes:
        image_in_front: the one image stands before the text, and the text does not name it.
        start: where the start token is put: in `front` of a prompt that does not begin with it, `after_images`, or not.
        end: what follows a prompt that has an image.
        strips: spaces around a prompt are dropped.
        feature_token: the token that stands for a feature, where it is not the one that stands for an image.
        beside: the output that counts the images of each row, where images that share their row are processed in
            another way than an image alone.
    """

    image_in_front: bool = False
    start: str = ""
    end: str = ""
    strips: bool = False
    feature_token: str = ""
    beside: str = ""


# Read in transformers 5.23; keyed by the processor's class. A processor that is not here writes nothing by itself.
LAYOUTS: dict[str, Layout] = {
    "Blip2Processor": Layout(image_in_front=True),
    "FuyuProcessor": Layout(image_in_front=True, end="<0x04>"),
    "Kosmos2Processor": Layout(image_in_front=True, strips=True),
    "LlavaOnevisionProcessor": Layout(beside="batch_num_images"),
    "Molmo2Processor": Layout(start=FRONT, feature_token="<im_patch>"),
    "PaliGemmaProcessor": Layout(start=AFTER_IMAGES, end="\n"),
}
IN_FRONT = -1  # stands for an image that the text does not name
_RENAMED = {"image_patches": "pixel_values"}  # Fuyu's old name, gone with transformers 5.24
_TYPES = ("mm_token_type_ids", "token_type_ids", "image_embeds_position_mask")
_TEXT_OUTPUTS = frozenset({"input_ids", "attention_mask", "labels", *_TYPES})


@dataclass(frozen=True)
class Expansion:
    """What an image's placeholder in a text becomes.

    Attributes:
        ids_K: token ids.
        is_feature_K: whether a token stands for a feature.
        is_image_K: whether the processor counts a token as part of the image.
    """

    ids_K: np.ndarray
    is_feature_K: np.ndarray
    is_image_K: np.ndarray


@dataclass(frozen=True)
class ImageTable:
    """The distinct images of a batch.

    Attributes:
        image_inputs: the processor's tensors.
        expansions: per image what its placeholder becomes.
        first_rows: per image the row of its first feature in the batch's feature table.
        keys: per image the key of its pixels; empty where nobody asks for it.
        counts: placeholders of each image.
    """

    image_inputs: dict[str, Any]
    expansions: tuple[Expansion, ...]
    first_rows: tuple[int, ...]
    keys: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


def layout_of(processor: Any) -> Layout:
    """What the processor writes into a prompt by itself."""
    return LAYOUTS.get(type(processor).__name__, Layout())


def image_token(processor: Any) -> str:
    """The word that stands for an image in a text."""
    return str(getattr(processor, "image_token", None) or processor.boi_token)


def hole_id(processor: Any) -> int:
    """The token id in whose place an image's tokens go."""
    if layout_of(processor).image_in_front:
        return IN_FRONT
    return int(processor.tokenizer.convert_tokens_to_ids(image_token(processor)))


def feature_token_id(processor: Any) -> int:
    """The token that stands for one feature; Gemma 3 and Molmo 2 write another one where an image goes in the text."""
    name = layout_of(processor).feature_token
    if name:
        return int(processor.tokenizer.convert_tokens_to_ids(name))
    for owner in (processor.tokenizer, processor):
        token = getattr(owner, "image_token_id", None)
        if token is not None:
            return int(token)
    return int(processor.tokenizer.convert_tokens_to_ids(image_token(processor)))


def prompt_ids(processor: Any, tokenize: Callable[[str], np.ndarray], text: str, images: int, label: str) -> np.ndarray:
    """Token ids of a prompt that shows so many images, with one hole for each, as the processor writes it.

    Raises:
        DataError: more images than the processor takes.
    """
    layout, start = layout_of(processor), start_token(processor)
    if layout.strips:
        text = text.strip()
    if layout.start == FRONT and not text.startswith(start):
        text = start + text
    if not images:
        return tokenize(text)
    if layout.start == AFTER_IMAGES:
        before, token, behind = text.rpartition(image_token(processor))
        text = before + token + start + behind
    ids_L = tokenize(text + layout.end)
    if not layout.image_in_front:
        return ids_L
    if images > 1:
        name = type(processor).__name__
        raise DataError(f"{label}: {images} images, but {name} takes one image a prompt. Keep one of them.")
    return np.concatenate([[IN_FRONT], ids_L])


def start_token(processor: Any) -> str:
    """The token that a processor puts at the start of a text."""
    return str(processor.tokenizer.bos_token or processor.tokenizer.eos_token)


def process_images(processor: Any, images: Many[Any], beside: Many[bool] = ()) -> ImageTable:
    """The table of distinct RGB images, from one call of the processor.

    `beside` says which of them share their row with others; those stand behind the rest.
    """
    if not images:
        return ImageTable({}, (), ())
    layout = layout_of(processor)
    others = sum(beside)
    alone = len(images) - others
    rows = [[image] for image in images[:alone]]
    if others:  # one row of at least two: with one image in it, it would be processed as alone
        rows.append([*images[alone:], *images[alone:][: others == 1]])
    placeholder = "" if layout.image_in_front else image_token(processor)
    encoded = processor(
        images=rows,
        text=[placeholder * len(row) for row in rows],
        padding=True,
        padding_side="right",
        return_tensors="pt",
        add_special_tokens=False,
    )
    expansions = [part for index, row in enumerate(rows) for part in _expansions(processor, encoded, index, len(row))]
    inputs = {_RENAMED.get(name, name): value for name, value in encoded.items() if name not in _TEXT_OUTPUTS}
    if layout.beside:
        inputs = {name: value[: len(images)] for name, value in inputs.items()}
        inputs[layout.beside] = encoded[layout.beside].new_tensor([1] * alone + [2] * others)
    counts = tuple(int(part.is_feature_K.sum()) for part in expansions[: len(images)])
    first_rows = tuple(np.cumsum([0, *counts[:-1]]).tolist())
    return ImageTable(inputs, tuple(expansions[: len(images)]), first_rows, counts=counts)


def _expansions(processor: Any, encoded: Any, row: int, images: int) -> list[Expansion]:
    """What the placeholders of a row of the processor's output become; images of one row are alike in length."""
    layout = layout_of(processor)
    inside = encoded["attention_mask"][row].bool()
    ids_K = encoded["input_ids"][row][inside].numpy()
    types = {name: encoded[name][row][inside].numpy() == 1 for name in _TYPES if name in encoded}
    is_feature_K = types.get("image_embeds_position_mask", ids_K == feature_token_id(processor))
    is_image_K = next((type_K for type_K in types.values() if type_K.any()), is_feature_K)
    start = start_token(processor)
    head = len(processor.tokenizer(start, add_special_tokens=False)["input_ids"]) if layout.start == FRONT else 0
    written = (start if layout.start == AFTER_IMAGES else "") + layout.end
    tail = len(processor.tokenizer(written, add_special_tokens=False)["input_ids"]) if written else 0
    own = slice(head, len(ids_K) - tail)
    parts = (np.split(values[own], images) for values in (ids_K, is_feature_K, is_image_K))
    return [Expansion(*part) for part in zip(*parts, strict=True)]
