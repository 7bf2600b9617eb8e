"""CIDEr, BLEU and ROUGE-L over all captions of a run.

The words are the Penn Treebank's, or for VLMEvalKit raw ones. Resampling keeps CIDEr's document frequencies as they are
in the whole run: they are a property of the data, not of the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightline.evaluation.metrics.means import additive, mean_score, ratio, table_of
from sightline.evaluation.task import Metric
from sightline.scoring.captions import MAX_N, Tokenizer, bleu_counts, bleu_from, cider_scores, raw_words
from sightline.scoring.ptb_tokens import ptb_tokens
from sightline.scoring.records import Judged


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
