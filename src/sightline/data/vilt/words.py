"""Prepare texts for ViLT: token ids in one block, with whole words masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Dims: B texts, L tokens.

NOT_MASKED = -100
MASKED, REPLACED = 0.8, 0.1  # shares of chosen tokens that become [MASK] and a drawn token; the others stay


@dataclass(frozen=True)
class TextBlock:
    """Texts of a batch, padded to the longest."""

    ids_BL: torch.Tensor
    mask_BL: torch.Tensor


def encode_texts(tokenizer: Any, texts: Sequence[str], max_length: int) -> TextBlock:
    """Token ids with [CLS] and [SEP], cut to `max_length` tokens."""
    encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=max_length, return_tensors="pt")
    return TextBlock(encoded["input_ids"], encoded["attention_mask"])


@dataclass(frozen=True)
class MaskedTexts:
    """Texts with some words hidden.

    Attributes:
        ids_BL: what the model reads.
        labels_BL: the hidden tokens where one is hidden, `NOT_MASKED` elsewhere.
    """

    ids_BL: torch.Tensor
    labels_BL: torch.Tensor


class WordMasker:
    """Hides whole words: all pieces of a word, or none of them.

    Args:
        probability: share of a text's tokens to hide; one word at least.
    """

    def __init__(self, tokenizer: Any, probability: float = 0.15) -> None:
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self._continues = np.array([token.startswith("##") for token in tokens])
        special = set(tokenizer.all_special_ids)
        self._special = np.array([index in special for index in range(len(tokens))])
        self._ordinary = np.flatnonzero(~self._special)
        self._mask_id = int(tokenizer.mask_token_id)
        self._probability = probability

    def mask(self, block: TextBlock, random: np.random.Generator) -> MaskedTexts:
        """The texts with words hidden in each."""
        ids_BL = block.ids_BL.numpy().copy()
        labels_BL = np.full_like(ids_BL, NOT_MASKED)
        for ids_L, labels_L in zip(ids_BL, labels_BL, strict=True):
            chosen = self.choose(ids_L, random)
            labels_L[chosen] = ids_L[chosen]
            ids_L[chosen] = self._disguise(ids_L[chosen], random)
        return MaskedTexts(torch.from_numpy(ids_BL), torch.from_numpy(labels_BL))

    def words(self, ids_L: np.ndarray) -> list[list[int]]:
        """Places of each word's tokens; special tokens and padding belong to none."""
        words: list[list[int]] = []
        for place, token in enumerate(ids_L):
            if self._special[token]:
                continue
            if words and self._continues[token] and words[-1][-1] == place - 1:
                words[-1].append(place)
            else:
                words.append([place])
        return words

    def choose(self, ids_L: np.ndarray, random: np.random.Generator) -> list[int]:
        """Places to hide: words in drawn order while they fit into the share, the first one in any case."""
        words = self.words(ids_L)
        wanted = max(1, round(self._probability * sum(map(len, words))))
        chosen: list[int] = []
        for index in random.permutation(len(words)):
            if not chosen or len(chosen) + len(words[index]) <= wanted:
                chosen += words[index]
        return chosen

    def _disguise(self, ids: np.ndarray, random: np.random.Generator) -> np.ndarray:
        draws = random.random(len(ids))
        drawn = random.choice(self._ordinary, size=len(ids))
        return np.where(draws < MASKED, self._mask_id, np.where(draws < MASKED + REPLACED, drawn, ids))
