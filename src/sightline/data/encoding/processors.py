"""Run a processor on images, and expand the placeholders that it writes into a prompt."""

# Dims: L tokens of a text, K tokens that an image's placeholder becomes.
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sightline.data.encoding.borders import find_borders, spelt_out
from sightline.data.encoding.unread_words import require_read
from sightline.errors import DataError, InputError
from sightline.types import TokenSequence

FRONT, BEFORE_IMAGE, AFTER_IMAGES = "front", "before_image", "after_images"


@dataclass(frozen=True)
class Layout:
    """What a processor writes into a prompt by itself, and how it treats images; the default is nothing special.

    Attributes:
        image_in_front: the one image stands before the text, and the text does not name it.
        start: where the start token is put: in `front` of a prompt that does not begin with it, `after_images`,
            `before_image` (one in front; a text alone has it where it is written, and its words are tokenized as if it
            were not), or not.
        end: what follows a prompt that has an image.
        strips: spaces around a prompt are dropped.
        feature_token: the token that stands for a feature, where it is not the one that stands for an image.
        behind_image: what follows an image in front, before the text.
        beside: the output that counts the images of each row, where images that share their row are processed in
            another way than an image alone.
        one_image: a prompt takes one image, though its text names the place.
        prompts_alone: TRL 1.16 cannot make the processor's rows, since it hands answers to it without their prompts:
            the processor wants an image with them, or writes in front of them.
        is_base: its models were published without a form for conversations, so that they are asked in plain words.
        opens: the token that stands in front of an image's placeholder and nowhere else.
    """

    image_in_front: bool = False
    start: str = ""
    end: str = ""
    strips: bool = False
    feature_token: str = ""
    behind_image: str = ""
    beside: str = ""
    one_image: bool = False
    prompts_alone: bool = False
    is_base: bool = False
    opens: str = ""


# Read in transformers 5.23 and in our ports, by the processor's class; one that is not here writes nothing by itself.
LAYOUTS: dict[str, Layout] = {
    "Blip2Processor": Layout(image_in_front=True, is_base=True),
    "CogVLMProcessor": Layout(image_in_front=True, start=BEFORE_IMAGE),
    "Florence2Processor": Layout(image_in_front=True, end="</s>", is_base=True),
    "FuyuProcessor": Layout(image_in_front=True, end="<0x04>", is_base=True),
    "Kosmos2Processor": Layout(image_in_front=True, strips=True, behind_image=" ", prompts_alone=True, is_base=True),
    "LlavaOnevisionProcessor": Layout(beside="batch_num_images"),
    "Molmo2Processor": Layout(start=FRONT, feature_token="<im_patch>", prompts_alone=True),
    "MoondreamProcessor": Layout(one_image=True),
    "PaliGemmaProcessor": Layout(start=AFTER_IMAGES, end="\n", prompts_alone=True, is_base=True),
    "QwenVLProcessor": Layout(opens="<img>"),
}
IN_FRONT = -1  # stands for an image that the text does not name
_TYPES = ("mm_token_type_ids", "token_type_ids", "image_embeds_position_mask")
_TEXT_OUTPUTS = frozenset({"input_ids", "attention_mask", "labels", *_TYPES})


@dataclass(frozen=True)
class Expansion:
    """What an image's placeholder in a text becomes.

    Attributes:
        ids_K: token ids.
        is_feature_K: whether a token stands for a feature.
        is_image_K: whether the processor counts a token as part of the image.
        around: words in front of these tokens and behind them, which are tokenized with those of the row.
        is_apart: whether the row's words tokenize around these tokens as they do around the placeholder.
    """

    ids_K: np.ndarray
    is_feature_K: np.ndarray
    is_image_K: np.ndarray
    around: tuple[str, str] = ("", "")
    is_apart: bool = True


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


def prompt_ids(
    processor: Any, tokenize: Callable[[str], np.ndarray], text: str, around: Sequence[tuple[str, str]], label: str
) -> np.ndarray:
    """Token ids of a prompt as the processor writes it, with one hole for each image; `around` are the words that it
    writes around the tokens of each.

    Raises:
        DataError: more images than the processor takes, or a word that it leaves unread.
    """
    require_read(processor, text, label)
    layout = layout_of(processor)
    require_few_images(processor, len(around), label)
    front, text = front_ids(processor, text, len(around)), started(processor, text)
    if not around:
        return np.concatenate([front, tokenize(text)])
    if layout.start == AFTER_IMAGES:
        before, token, behind = text.rpartition(image_token(processor))
        text = before + token + start_token(processor) + behind
    if not layout.image_in_front:
        return tokenize(spelt_out(text, image_token(processor), around) + layout.end)
    return np.concatenate([front, tokenize(layout.behind_image + text + layout.end)])


def front_ids(processor: Any, text: str, images: int) -> np.ndarray:
    """Token ids in front of what `started` gives: a start token that stands before an image, and the image's hole."""
    layout = layout_of(processor)
    ids = [IN_FRONT] if layout.image_in_front and images else []
    if layout.start == BEFORE_IMAGE and (images or text.startswith(start_token(processor))):
        ids.insert(0, int(processor.tokenizer.convert_tokens_to_ids(start_token(processor))))
    return np.asarray(ids, dtype=np.int64)


def require_few_images(processor: Any, images: int, label: str) -> None:
    """Raise DataError for more images in a text than the processor takes."""
    layout = layout_of(processor)
    if images > 1 and (layout.one_image or layout.image_in_front):
        raise DataError(f"{label}: {images} images, but {type(processor).__name__} takes one image a prompt. Keep one.")


def started(processor: Any, text: str) -> str:
    """The text without outer spaces, and behind the start token, where the processor has texts so; without it where
    `front_ids` has it."""
    layout = layout_of(processor)
    text = text.strip() if layout.strips else text
    if layout.start == BEFORE_IMAGE:
        return text.removeprefix(start_token(processor))
    if layout.start != FRONT or text.startswith(start_token(processor)):
        return text
    return start_token(processor) + text


def require_apart(processor: Any, images: int, label: str) -> None:
    """Raise DataError for a row of prompt and answer in one where the processor must tell them apart, or takes less."""
    require_few_images(processor, images, label)
    layout = layout_of(processor)
    if images and (layout.end or (layout.image_in_front and layout.start != BEFORE_IMAGE)):
        raise DataError(
            f"{label}: {type(processor).__name__} writes into the prompt by itself, so prompt and answer must stand "
            "apart. Use the columns prompt and completion."
        )


def start_token(processor: Any) -> str:
    """The token that a processor puts at the start of a text."""
    return str(processor.tokenizer.bos_token or processor.tokenizer.eos_token)


def process_images(processor: Any, images: Sequence[Any], beside: Sequence[bool] = ()) -> ImageTable:
    """The table of distinct RGB images, from one call of the processor.

    `beside` says which of them share their row with others; those stand behind the rest.
    """
    if not images:
        return ImageTable({}, (), ())
    layout = layout_of(processor)
    if getattr(processor.tokenizer, "pad_token", None) is None:
        raise InputError("The model's tokenizer has no padding token. Set pad_token in its tokenizer_config.json.")
    others, alone = sum(beside), len(images) - sum(beside)
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
        **({} if layout.image_in_front else {"return_text_replacement_offsets": True}),
    )
    written = encoded.pop("text_replacement_offsets", None)
    expansions = [part for index, row in enumerate(rows) for part in _expansions(processor, encoded, index, len(row))]
    if written is not None:
        texts = [each["replacement"] for row in written for each in row]
        expansions = [_cut_out(processor, *pair) for pair in zip(expansions, texts, strict=True)]
    inputs = {name: value for name, value in encoded.items() if name not in _TEXT_OUTPUTS}
    if layout.beside:
        inputs = {name: value[: len(images)] for name, value in inputs.items()}
        inputs[layout.beside] = encoded[layout.beside].new_tensor([1] * alone + [2] * others)
    counts = tuple(int(part.is_feature_K.sum()) for part in expansions[: len(images)])
    return ImageTable(inputs, tuple(expansions[: len(images)]), first_rows(counts), counts=counts)


def expand_images(
    processor: Any, ids_L: np.ndarray, scored_L: np.ndarray, shown: tuple[int, ...], table: ImageTable, name: str
) -> TokenSequence:
    """The text with each hole replaced by the tokens of its image; `shown` are the images of the table in order.

    Raises:
        DataError: the text has another number of holes than images.
    """
    holes = np.flatnonzero(ids_L == hole_id(processor))
    if len(holes) != len(shown):
        raise DataError(mismatch(name, len(shown), len(holes)))
    ids, features, scored, images, start = [], [], [], [], 0
    for hole, image in zip(holes.tolist(), shown, strict=True):
        expansion = table.expansions[image]
        is_feature_K = expansion.is_feature_K
        feature = np.where(is_feature_K, table.first_rows[image] + np.cumsum(is_feature_K) - 1, -1)
        ids += [ids_L[start:hole], expansion.ids_K]
        images += [np.zeros(hole - start, dtype=bool), expansion.is_image_K]
        features += [np.full(hole - start, -1), feature]
        scored += [scored_L[start:hole], np.full(len(feature), scored_L[hole])]
        start = hole + 1
    ids.append(ids_L[start:])
    features.append(np.full(len(ids_L) - start, -1))
    scored.append(scored_L[start:])
    images.append(np.zeros(len(ids_L) - start, dtype=bool))
    feature_L, image_L = np.concatenate(features), np.concatenate(images)
    kept = None if np.array_equal(image_L, feature_L >= 0) else image_L
    return TokenSequence(np.concatenate(ids), feature_L, np.concatenate(scored), shown, name, kept)


def count_expanded(
    processor: Any, ids_L: np.ndarray, scored_L: np.ndarray, images: Sequence[Expansion], name: str
) -> tuple[int, int, int]:
    """How many tokens `expand_images` gives, how many of them are trained, and how many stand for features.

    Raises:
        DataError: as `expand_images`.
    """
    holes = np.flatnonzero(ids_L == hole_id(processor))
    if len(holes) != len(images):
        raise DataError(mismatch(name, len(images), len(holes)))
    more = [len(image.ids_K) - 1 for image in images]
    trained = int(scored_L[1:].sum()) + sum(own for own, hole in zip(more, holes, strict=True) if scored_L[hole])
    return len(ids_L) + sum(more), trained, sum(int(image.is_feature_K.sum()) for image in images)


def mismatch(name: str, images: int, placeholders: int) -> str:
    """What to say of a text whose placeholders are not as many as its images."""
    advice = (
        'Add one {"type": "image"} part to the prompt, or drop an image. A prompt of plain text needs the model\'s own '
        'mark; as messages, [{"role": "user", "content": "..."}], it shows the image first without one.'
        if images > placeholders
        else "Add the missing image, or remove a placeholder from the prompt."
    )
    return (
        f"{name}: {images} image{'s' * (images != 1)}, but the prompt has {placeholders} "
        f"placeholder{'s' * (placeholders != 1)}. {advice}"
    )


def refusal(name: str, size: tuple[int, int], reason: str) -> str:
    """What to say of an image that the processor does not take."""
    return (
        f"{name}: the processor takes no image of {size[0]} x {size[1]} pixels: {reason.rstrip('.')}. Cut the image "
        "into parts, resize it, or leave the row out."
    )


def first_rows(counts: Sequence[int]) -> tuple[int, ...]:
    """Per image the row of its first feature, where those of all images stand one after another."""
    return tuple(np.cumsum([0, *counts[:-1]]).tolist()) if counts else ()


def _expansions(processor: Any, encoded: Any, row: int, images: int) -> list[Expansion]:
    """What the placeholders of a row of the processor's output become; images of one row are alike in length."""
    layout = layout_of(processor)
    inside = encoded["attention_mask"][row].bool()
    ids_K = encoded["input_ids"][row][inside].numpy()
    types = {name: encoded[name][row][inside].numpy() == 1 for name in _TYPES if name in encoded}
    is_feature_K = types.get("image_embeds_position_mask", ids_K == feature_token_id(processor))
    is_image_K = next((type_K for type_K in types.values() if type_K.any()), is_feature_K)
    start = start_token(processor)
    head = (
        len(processor.tokenizer(start, add_special_tokens=False)["input_ids"])
        if layout.start in (FRONT, BEFORE_IMAGE)
        else 0
    )
    written = layout.behind_image + (start if layout.start == AFTER_IMAGES else "") + layout.end
    tail = len(processor.tokenizer(written, add_special_tokens=False)["input_ids"]) if written else 0
    own = slice(head, len(ids_K) - tail)
    parts = (np.split(values[own], images) for values in (ids_K, is_feature_K, is_image_K))
    return [Expansion(*part) for part in zip(*parts, strict=True)]


def _cut_out(processor: Any, expansion: Expansion, written: str) -> Expansion:
    """The expansion without the words at its ends that the tokenizer may merge with those of a row."""
    borders = find_borders(processor.tokenizer, image_token(processor), written)
    if borders is None:
        return replace(expansion, is_apart=False)
    own = slice(borders.first, borders.end)
    return Expansion(
        expansion.ids_K[own], expansion.is_feature_K[own], expansion.is_image_K[own], (borders.before, borders.after)
    )
