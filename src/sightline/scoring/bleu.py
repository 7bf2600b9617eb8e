"""BLEU-1 to BLEU-4 of captions, from counts that add up over images.

Source: Papineni et al., 2002; smoothing and closest reference length as in pycocoevalcap 1.2.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np

MAX_N = 4
_SMALL, _TINY = 1e-9, 1e-15

Words = tuple[str, ...]


def bleu_counts(said: Words, references: list[Words]) -> list[int]:
    """What one caption adds: its length, the closest reference's length, then guesses and hits for n = 1 to 4."""
    closest = min((len(reference) for reference in references), key=lambda length: (abs(length - len(said)), length))
    guesses, hits = [], []
    for n in range(1, MAX_N + 1):
        counts = ngrams(said, n)
        most: Counter[Words] = Counter()
        for reference in references:
            most |= ngrams(reference, n)
        guesses.append(max(0, len(said) - n + 1))
        hits.append((counts & most).total())
    return [len(said), closest, *guesses, *hits]


def bleu_from(counts: np.ndarray, n: int) -> np.ndarray:
    """BLEU-n of summed counts, (..., 10) to (...)."""
    length, closest = counts[..., 0], counts[..., 1]
    guesses, hits = counts[..., 2 : 2 + n], counts[..., 2 + MAX_N : 2 + MAX_N + n]
    precision = np.prod((hits + _TINY) / (guesses + _SMALL), axis=-1) ** (1 / n)
    ratio = (length + _TINY) / (closest + _SMALL)
    return precision * np.exp(np.minimum(0.0, 1 - 1 / ratio))


@lru_cache(maxsize=1 << 17)  # every metric asks for those of the same captions
def ngrams(words: Words, n: int) -> Counter[Words]:
    """How often each run of n words occurs; not to be changed."""
    return Counter(words[start : start + n] for start in range(len(words) - n + 1))
