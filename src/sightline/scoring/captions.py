"""Score captions against references: words, ROUGE-L, BLEU and CIDEr-D.

Sources: Lin, 2004 (ROUGE-L); Papineni et al., 2002 (BLEU); Vedantam et al., 2015 (CIDEr); constants, smoothing and the
closest reference length as in pycocoevalcap 1.2. CIDEr and BLEU belong to all captions of a run together.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sightline.scoring.final_answer import after_reasoning, declines, without_markup
from sightline.scoring.ptb_tokens import ptb_tokens
from sightline.scoring.records import UNPARSED, Item, Verdict

_LABEL = re.compile(r"^\W*(?:caption|description)\s*:\s*", re.IGNORECASE)

Tokenizer = Callable[[str], tuple[str, ...]]


def raw_words(caption: str) -> tuple[str, ...]:
    """VLMEvalKit's words: whatever stands between blanks, capitals and punctuation included."""
    return tuple(caption.split())


def score_official(item: Item, answer: str) -> Verdict:
    """ROUGE-L over the Penn Treebank's words."""
    return _score(item, answer, ptb_tokens)


def score_vlmevalkit(item: Item, answer: str) -> Verdict:
    """ROUGE-L over raw words."""
    return _score(item, answer, raw_words)


def score_strict(item: Item, answer: str) -> Verdict:
    """As official, behind any thought; a refusal and a caption without a word are unparsed."""
    caption = _LABEL.sub("", without_markup(after_reasoning(answer)))
    return _score(item, caption, ptb_tokens) if ptb_tokens(caption) and not declines(caption) else UNPARSED


def _score(item: Item, caption: str, tokens: Tokenizer) -> Verdict:
    return Verdict(rouge_l(tokens(caption), [tokens(reference) for reference in item.answers]), caption)


_BETA_SQUARED = 1.2**2


def rouge_l(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Between 0 and 1; precision and recall may come from different references."""
    lengths = [longest_common_subsequence(said, reference) for reference in references]
    precision = max(lengths) / max(len(said), 1)
    recall = max(length / max(len(reference), 1) for length, reference in zip(lengths, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA_SQUARED) * precision * recall / (recall + _BETA_SQUARED * precision)


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words of one occur in the other in the same order."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]


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


_SIGMA = 6.0


@dataclass(frozen=True)
class _Caption:
    """A caption as weighted n-grams, one table and one norm per n, and its number of bigrams."""

    weights: tuple[dict[Words, float], ...]
    norms: tuple[float, ...]
    bigrams: int


def cider_scores(said: Sequence[Words], references: Sequence[list[Words]]) -> list[float]:
    """The score of each image's caption, 0 to 10; their mean is the score of the run.

    Document frequencies come from the references of these very images: scores of a part of a data set are not those of
    the whole, and a single image scores 0.
    """
    document_frequency: Counter[Words] = Counter()
    for captions in references:
        document_frequency.update({gram for words in captions for n in range(MAX_N) for gram in ngrams(words, n + 1)})
    log_images = math.log(len(references)) if references else 0.0
    scores = []
    for words, captions in zip(said, references, strict=True):
        candidate = _weighted(words, document_frequency, log_images)
        alike = [_likeness(candidate, _weighted(other, document_frequency, log_images)) for other in captions]
        scores.append(10 * math.fsum(alike) / len(alike))  # fsum: one score under every Python, as below
    return scores


def _weighted(words: Words, document_frequency: Counter[Words], log_images: float) -> _Caption:
    weights = tuple(
        {gram: n * (log_images - math.log(max(1, document_frequency[gram]))) for gram, n in ngrams(words, size).items()}
        for size in range(1, MAX_N + 1)
    )
    norms = tuple(math.sqrt(math.fsum(weight**2 for weight in table.values())) for table in weights)
    return _Caption(weights, norms, max(0, len(words) - 1))


def _likeness(candidate: _Caption, reference: _Caption) -> float:
    """Mean over n of the clipped cosine, damped where the lengths differ."""
    total = 0.0
    for mine, theirs, norm, other in zip(
        candidate.weights, reference.weights, candidate.norms, reference.norms, strict=True
    ):
        shared = math.fsum(min(weight, theirs[gram]) * theirs[gram] for gram, weight in mine.items() if gram in theirs)
        total += shared / (norm * other) if norm and other else shared
    difference = candidate.bigrams - reference.bigrams
    return total / MAX_N * math.exp(-(difference**2) / (2 * _SIGMA**2))
