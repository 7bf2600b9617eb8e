"""CIDEr-D of captions: n-grams weighed by how few images of the run have them in their references.

Source: Vedantam et al., 2015, "CIDEr"; n = 1 to 4, sigma 6 and the factor 10 as in pycocoevalcap 1.2.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sightline.scoring.bleu import MAX_N, Words, ngrams

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
        scores.append(10 * sum(alike) / len(alike))
    return scores


def _weighted(words: Words, document_frequency: Counter[Words], log_images: float) -> _Caption:
    weights = tuple(
        {gram: n * (log_images - math.log(max(1, document_frequency[gram]))) for gram, n in ngrams(words, size).items()}
        for size in range(1, MAX_N + 1)
    )
    norms = tuple(math.sqrt(sum(weight**2 for weight in table.values())) for table in weights)
    return _Caption(weights, norms, max(0, len(words) - 1))


def _likeness(candidate: _Caption, reference: _Caption) -> float:
    """Mean over n of the clipped cosine, damped where the lengths differ."""
    total = 0.0
    for mine, theirs, norm, other in zip(
        candidate.weights, reference.weights, candidate.norms, reference.norms, strict=True
    ):
        shared = sum(min(weight, theirs[gram]) * theirs[gram] for gram, weight in mine.items() if gram in theirs)
        total += shared / (norm * other) if norm and other else shared
    difference = candidate.bigrams - reference.bigrams
    return total / MAX_N * math.exp(-(difference**2) / (2 * _SIGMA**2))
