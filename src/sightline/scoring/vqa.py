"""VQA accuracy over ten human answers: the official code, EvalAI's for TextVQA, VLMEvalKit's, and `strict`.

Sources, described step by step: GT-Vision-Lab/VQA vqaEval.py at a013f00; lmms-eval 0.7.3
_task_utils/vqa_eval_metric.py; VLMEvalKit dataset/utils/vqa_eval.py at e8e78f0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sightline.errors import DataError
from sightline.scoring.normalise import normalise, normalise_words, strip_punctuation, vlmevalkit_punctuation
from sightline.scoring.numbers import same_number
from sightline.scoring.records import Item, Scorer, Verdict
from sightline.scoring.short_texts import judge_short

Spelling = Callable[[str], str]


def score_official(item: Item, answer: str) -> Verdict:
    """VQA accuracy; spellings are made equal only where the ten people do not agree to the letter."""
    agreed = len(set(item.answers)) == 1
    return _accuracy(item, answer, _flat if agreed else official_spelling)


def score_strict(item: Item, answer: str) -> Verdict:
    """VQA accuracy of what the answer says, with equal spellings always; a number may be spelled as it likes."""
    _check_people(item)
    golds = [normalise(gold) for gold in item.answers]

    def score(said: str) -> float:
        spellings = {normalise(said), *(gold for gold in set(golds) if same_number(said, gold))}
        return max(_leave_one_out(spelling, golds) for spelling in spellings)

    return judge_short(item, answer, score)


def scoring_with(spelling: Spelling) -> Scorer:
    """VQA accuracy with every answer in this spelling."""
    return lambda item, answer: _accuracy(item, answer, spelling)


def official_spelling(text: str) -> str:
    """Punctuation, number words, articles and contractions as the official code treats them."""
    return normalise_words(strip_punctuation(_flat(text)))


def evalai_spelling(text: str) -> str:
    """The same after EvalAI's word step: lower case, commas and question marks gone, "'s" a word of its own."""
    words = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return official_spelling(words)


def vlmevalkit_spelling(text: str) -> str:
    """The official steps with VLMEvalKit's period."""
    return normalise_words(vlmevalkit_punctuation(_flat(text)))


def _accuracy(item: Item, answer: str, spelling: Spelling) -> Verdict:
    """Mean over the people of min(1, how many of the others say the same / 3)."""
    _check_people(item)
    said, golds = spelling(answer), [spelling(gold) for gold in item.answers]
    return Verdict(_leave_one_out(said, golds), said)


def _check_people(item: Item) -> None:
    if len(item.answers) < 4:
        raise DataError(
            f"{item.name}: VQA accuracy needs the answers of several people (ten in VQAv2 and TextVQA), "
            f"got {len(item.answers)}. Score rows with one gold answer as a custom task."
        )


def _leave_one_out(said: str, golds: Sequence[str]) -> float:
    same = golds.count(said)
    # fsum: two of ten people give one score whoever they are; `sum` of Python 3.11 gives three, 1e-16 apart
    return math.fsum(min(1.0, (same - (gold == said)) / 3) for gold in golds) / len(golds)


def _flat(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
