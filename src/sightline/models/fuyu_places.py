"""Boxes and points in Fuyu's answers: tokens that open and close a place, with a token for each number between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sightline.errors import InputError


@dataclass(frozen=True)
class Kind:
    """A kind of place: the tokens around its numbers, how many there are, and its name in the authors' texts."""

    opens: str
    closes: str
    numbers: int
    name: str


UNDERSCORE = "\N{LOWER ONE EIGHTH BLOCK}"  # which the tokenizer puts in front of each text
KINDS = (Kind("<0x00>", "<0x01>", 4, "box"), Kind("<0x02>", "<0x03>", 2, "point"))


@dataclass(frozen=True)
class Stretch:
    """Tokens of an answer: those of a whole place without those around it, or others (`kind` is None)."""

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    kind: Kind | None


def answer_texts(tokenizer: Any, answers: Sequence[Any], **settings: Any) -> list[str]:
    """Answers as text, places as `<0x00>50 60 100 120<0x01>`: in half pixels of the picture as the model saw it.

    The tokenizer's own decoder writes control characters around numbers that run into one another.
    """
    return [_text(tokenizer, answer, settings) for answer in answers]


def _text(tokenizer: Any, answer: Any, settings: dict[str, Any]) -> str:
    parts = []
    for stretch in _stretches(tokenizer, answer):
        if stretch.kind is None:
            parts.append(str(tokenizer.decode(list(stretch.ids), **settings)))
        else:
            parts.append(f"{stretch.kind.opens}{' '.join(stretch.tokens)}{stretch.kind.closes}")
    return "".join(parts)


def with_places(processor: Any, outputs: Sequence[Tensor], target_sizes: Tensor | None = None) -> list[Tensor]:
    """Token ids in which each whole place reads `<box>top, left, bottom, right</box>` or `<point>x, y</point>`, in
    pixels of the original picture; what is no whole place stays as it is.

    Args:
        outputs: token ids of each answer, (L,).
        target_sizes: height and width of each picture, (answers, 2); None where none was scaled down.

    Raises:
        InputError: there is not one size of two numbers for each answer.
    """
    if target_sizes is None:
        return [_with_places(processor.tokenizer, ids_L, 1.0) for ids_L in outputs]
    if tuple(target_sizes.shape) != (len(outputs), 2):
        raise InputError(
            f"target_sizes: expected height and width of each of {len(outputs)} pictures, got "
            f"{list(target_sizes.shape)}. Give one pair for each answer."
        )
    scales = [_scale(processor.image_processor.size, *size) for size in target_sizes.tolist()]
    return [_with_places(processor.tokenizer, *pair) for pair in zip(outputs, scales, strict=True)]


def _scale(limits: Any, height: float, width: float) -> float:
    return min(1.0, limits["height"] / height, limits["width"] / width)


def _with_places(tokenizer: Any, ids_L: Tensor, scale: float) -> Tensor:
    written: list[int] = []
    for stretch in _stretches(tokenizer, ids_L):
        if stretch.kind is None:
            written += stretch.ids
            continue
        numbers = ", ".join(str(2 * int(float(number) / scale)) for number in stretch.tokens)
        words = tokenizer.tokenize(f"<{stretch.kind.name}>{numbers}</{stretch.kind.name}>")
        written += tokenizer.convert_tokens_to_ids(words[words[0] == UNDERSCORE :])
    return torch.tensor(written, dtype=ids_L.dtype, device=ids_L.device)


def _stretches(tokenizer: Any, answer: Any) -> Iterator[Stretch]:
    ids = [int(token) for token in answer]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    start = place = 0
    while place < len(tokens):
        kind = next((kind for kind in KINDS if _begins(kind, tokens, place)), None)
        if kind is None:
            place += 1
            continue
        if start < place:
            yield Stretch(tuple(tokens[start:place]), tuple(ids[start:place]), None)
        inside = slice(place + 1, place + 1 + kind.numbers)
        yield Stretch(tuple(tokens[inside]), tuple(ids[inside]), kind)
        start = place = inside.stop + 1
    if start < len(tokens):
        yield Stretch(tuple(tokens[start:]), tuple(ids[start:]), None)


def _begins(kind: Kind, tokens: Sequence[str], place: int) -> bool:
    """Whether a whole place of the kind begins there: tokens around it, and as many numbers as it has between."""
    end = place + 1 + kind.numbers
    if end >= len(tokens) or tokens[place] != kind.opens or tokens[end] != kind.closes:
        return False
    return all(token.isascii() and token.isdecimal() for token in tokens[place + 1 : end])
