"""Captions of one image: which words an answer has, and how it compares with the references on its own.

CIDEr and BLEU belong to all captions of a run together: `evaluation.metrics.captions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sightline.scoring.final_answer import after_reasoning, declines, without_markup
from sightline.scoring.ptb_tokens import ptb_tokens
from sightline.scoring.records import Item, Verdict
from sightline.scoring.rouge_l import rouge_l
from sightline.scoring.verdicts import UNPARSED

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
