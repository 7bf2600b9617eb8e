"""Show sequences to a reader: tokens as text, trained or not, and a batch's forest as shared segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightline.engine.forest import Forest
from sightline.types import TokenSequence

READ, TRAINED, IMAGE = "read", "trained", "image"
LONGEST_CHARACTER = 4  # tokens of a byte-level vocabulary that one character may take
BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Token:
    """One or several tokens that are shown together.

    Attributes:
        kind: `read`, `trained`, or `image`.
        start: position of the first of them in the sequence.
        count: how many there are.
        image: of which picture of the row, from 1; 0 for text.
    """

    text: str
    kind: str
    start: int
    count: int = 1
    image: int = 0


def read_tokens(sequence: TokenSequence, tokenizer: Any, first_rows: tuple[int, ...]) -> tuple[Token, ...]:
    """The tokens of a sequence in order; the placeholders of a picture between two words are one.

    `first_rows` holds for each distinct image of the batch the row of its first feature.
    """
    trained_L = trained(sequence)
    image_L = np.searchsorted(first_rows, sequence.feature_L, side="right") if first_rows else np.zeros(0, int)
    tokens: list[Token] = []
    start = 0
    while start < len(sequence.ids_L):
        if sequence.feature_L[start] >= 0:
            stop = start
            while stop < len(image_L) and image_L[stop] == image_L[start] and _goes_on(sequence, start, stop):
                stop += 1
            number = sequence.images.index(int(image_L[start]) - 1) + 1
            tokens.append(Token("", IMAGE, start, stop - start, number))
        else:
            text, stop = _character(sequence.ids_L, start, tokenizer)
            kind = TRAINED if trained_L[start:stop].any() else READ
            tokens.append(Token(text, kind, start, stop - start))
        start = stop
    return tuple(tokens)


def _goes_on(sequence: TokenSequence, start: int, stop: int) -> bool:
    """Whether the token at `stop` stands for the next feature; the same picture again begins anew."""
    return stop == start or bool(sequence.feature_L[stop] == sequence.feature_L[stop - 1] + 1)


def trained(sequence: TokenSequence) -> np.ndarray:
    """Whether a token is trained, (L,): scored, and with a token before it to be predicted from."""
    scored_L = sequence.scored_L.copy()
    scored_L[:1] = False
    return scored_L


def _character(ids_L: np.ndarray, start: int, tokenizer: Any) -> tuple[str, int]:
    """The text of the token at `start`, with those behind it that it takes to make a whole character."""
    text = ""
    for stop in range(start + 1, min(start + LONGEST_CHARACTER, len(ids_L)) + 1):
        text = tokenizer.decode(ids_L[start:stop].tolist(), clean_up_tokenization_spaces=False)
        if BROKEN not in text:
            return _with_space(text, ids_L[start], tokenizer), stop
    return _with_space(text, ids_L[start], tokenizer), start + 1


def _with_space(text: str, token_id: int, tokenizer: Any) -> str:
    """The text with the space in front that decoding a single token of SentencePiece drops."""
    stored = tokenizer.convert_ids_to_tokens(int(token_id)) or ""
    return f" {text}" if stored.startswith("\N{LOWER ONE EIGHTH BLOCK}") and not text.startswith(" ") else text


@dataclass(frozen=True)
class Segment:
    """Tokens that the same sequences share.

    Attributes:
        start: position of the first token in those sequences.
        tokens: how many there are.
        members: the sequences of the batch.
        branches: what follows, where the sequences part.
    """

    start: int
    tokens: int
    members: tuple[int, ...]
    branches: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class DrawnForest:
    """A forest and what it saves.

    Attributes:
        trees: the trunks.
        plain: tokens of all sequences, each alone.
        shared: tokens of the forest.
    """

    trees: tuple[Segment, ...]
    plain: int
    shared: int

    @property
    def saved(self) -> float:
        """The share of tokens that need not be computed."""
        return 1 - self.shared / self.plain


def draw_forest(forest: Forest) -> DrawnForest:
    """The segments of a forest, from the paths of its sequences."""
    paths = [path[path >= 0].tolist() for path in forest.path_NL]
    trees = _grow(paths, tuple(range(len(paths))), 0)
    return DrawnForest(trees, sum(map(len, paths)), int(torch.unique(forest.path_NL[forest.path_NL >= 0]).numel()))


def _grow(paths: list[list[int]], members: tuple[int, ...], start: int) -> tuple[Segment, ...]:
    """The segments that begin at position `start` of the members' paths."""
    groups: dict[int, list[int]] = {}
    for member in members:
        if len(paths[member]) > start:
            groups.setdefault(paths[member][start], []).append(member)
    segments = []
    for group in map(tuple, groups.values()):
        end = start + 1
        while all(len(paths[member]) > end and paths[member][end] == paths[group[0]][end] for member in group):
            end += 1
        segments.append(Segment(start, end - start, group, _grow(paths, group, end)))
    return tuple(segments)
