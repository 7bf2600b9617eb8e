"""Metrics over groups of items (MMBench's rotations, MME's pairs of questions) and over all captions of a run.

Captions: CIDEr, BLEU and ROUGE-L, over the words of the Penn Treebank, or for VLMEvalKit raw ones. Resampling keeps
CIDEr's document frequencies as they are in the whole run: they are a property of the data, not of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sightline.evaluation.metrics.means import additive, mean_score, ratio, table_of
from sightline.evaluation.task import Metric
from sightline.scoring.captions import MAX_N, Tokenizer, bleu_counts, bleu_from, cider_scores, raw_words
from sightline.scoring.ptb_tokens import ptb_tokens
from sightline.scoring.records import Judged

MME_PERCEPTION = (
    *("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"),
)
MME_COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
MME_CATEGORIES = (*MME_PERCEPTION, *MME_COGNITION)


def circular_accuracy() -> Metric:
    """Share of groups whose every item is right: MMBench's CircularEval over the rotations of a question."""
    return additive("circular_accuracy", lambda judged: table_of(_group_hits(judged), 2), _share)


def vanilla_accuracy() -> Metric:
    """Accuracy over the first item of each group: the question with its options in their first order."""

    def sums(judged: Sequence[Judged]) -> np.ndarray:
        firsts = _first_of_group(judged)
        return table_of(((one.verdict.score * first, first) for one, first in zip(judged, firsts, strict=True)), 2)

    return additive("vanilla_accuracy", sums, _share)


def mme_score(name: str, categories: Sequence[str]) -> Metric:
    """MME's points: per category 100 x accuracy + 100 x share of pictures with both questions right, summed."""
    places = {category: place for place, category in enumerate(categories)}

    def sums(judged: Sequence[Judged]) -> np.ndarray:
        table = np.zeros((len(judged), len(places), 4))
        for row, (one, (hit, first)) in enumerate(zip(judged, _group_hits(judged), strict=True)):
            place = places.get(one.item.category)
            if place is not None:
                table[row, place] = (one.verdict.score, 1.0, hit, first)
        return table.reshape(len(judged), -1)

    def combine(summed: np.ndarray) -> np.ndarray:
        table = summed.reshape(*summed.shape[:-1], len(places), 4)
        accuracy, both = ratio(table[..., 0], table[..., 1]), ratio(table[..., 2], table[..., 3])
        return (100 * accuracy + 100 * both).sum(axis=-1)

    return additive(name, sums, combine, scale=200.0 * len(places))


def mme_metrics() -> tuple[Metric, ...]:
    """Perception (of 2000), cognition (of 800), and both; per category that category's score (of 200)."""
    both = mme_score("score", MME_CATEGORIES)
    return (
        replace(mme_score("perception", MME_PERCEPTION), per_category=replace(both, scale=200.0)),
        mme_score("cognition", MME_COGNITION),
        both,
    )


def _group_hits(judged: Sequence[Judged]) -> Iterator[tuple[float, float]]:
    """(all right, 1) at the first item of each group and (0, 0) at its others; a group lies within one category."""
    wrong = {_group(one) for one in judged if one.verdict.score < 1}
    for one, first in zip(judged, _first_of_group(judged), strict=True):
        yield first * float(_group(one) not in wrong), first


def _first_of_group(judged: Sequence[Judged]) -> list[float]:
    seen: set[tuple[str, str]] = set()
    firsts = []
    for one in judged:
        firsts.append(float(_group(one) not in seen))
        seen.add(_group(one))
    return firsts


def _group(one: Judged) -> tuple[str, str]:
    return one.item.category, one.item.group or one.item.id


def _share(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., 0], sums[..., 1])


def caption_metrics() -> tuple[Metric, ...]:
    """CIDEr first, BLEU-4 to BLEU-1 and ROUGE-L over the Penn Treebank's words."""
    return _metrics(ptb_tokens)


def vlmevalkit_caption_metrics() -> tuple[Metric, ...]:
    """The same over raw words, which gives other numbers: 1.31 for a CIDEr of 2.10."""
    return _metrics(raw_words)


def _metrics(tokens: Tokenizer) -> tuple[Metric, ...]:
    def cider_sums(judged: Sequence[Judged]) -> np.ndarray:
        scores = cider_scores([_said(one, tokens) for one in judged], [_references(one, tokens) for one in judged])
        return table_of(((score, 1.0) for score in scores), 2)

    def bleu_sums(judged: Sequence[Judged]) -> np.ndarray:
        return table_of((bleu_counts(_said(one, tokens), _references(one, tokens)) for one in judged), 2 + 2 * MAX_N)

    bleus = (
        additive(f"bleu{n}", bleu_sums, lambda counts, n=n: bleu_from(counts, n))  # type: ignore[misc]
        for n in range(MAX_N, 0, -1)
    )
    cider = additive("cider", cider_sums, lambda sums: ratio(sums[..., 0], sums[..., 1]), scale=10.0)
    return (cider, *bleus, mean_score("rouge_l"))


def _said(one: Judged, tokens: Tokenizer) -> tuple[str, ...]:
    return tokens(one.verdict.parsed or "")


def _references(one: Judged, tokens: Tokenizer) -> list[tuple[str, ...]]:
    return [tokens(reference) for reference in one.item.answers]
