"""ANLS of DocVQA: how close an answer comes to a gold one in edit distance, cut off at one half.

Sources: Biten et al., 2019, "Scene text visual question answering"; peers, described: lmms-eval 0.7.3 api/metrics.py,
VLMEvalKit dataset/utils/vqa_eval.py at e8e78f0, LLaVA m4c_evaluator.py at c121f04, PyPI anls 0.0.2.
"""

from __future__ import annotations

from sightline.scoring.edit_distance import edit_distance
from sightline.scoring.records import Item, Verdict
from sightline.scoring.short_texts import judge_short


def score_strict(item: Item, answer: str) -> Verdict:
    """The greatest similarity to a gold answer: 1 - distance / longer length, 0 below one half."""
    golds = [_collapsed(gold) for gold in item.answers]
    return judge_short(item, answer, lambda said: max(_cut(_similarity(_collapsed(said), gold)) for gold in golds))


def score_lmms_eval(item: Item, answer: str) -> Verdict:
    """lmms-eval and VLMEvalKit: edits of the collapsed texts over the length of the uncollapsed ones.

    Blanks around an answer raise its score.
    """
    said = _collapsed(answer)
    return Verdict(
        max(_cut(_similarity(said, _collapsed(gold), max(len(gold), len(answer)))) for gold in item.answers), said
    )


def score_llava(item: Item, answer: str) -> Verdict:
    """LLaVA: lower case and no outer blanks; inner ones stay."""
    said = answer.lower().strip()
    return Verdict(max(_cut(_similarity(said, gold.lower().strip())) for gold in item.answers), said)


def score_anls_package(item: Item, answer: str) -> Verdict:
    """The package `anls`: as `score_strict`, but exactly one half is nothing, as in the paper's formula."""
    said = _collapsed(answer)
    best = max(_similarity(said, _collapsed(gold)) for gold in item.answers)
    return Verdict(best if best > 0.5 else 0.0, said)


def _similarity(said: str, gold: str, longer: int | None = None) -> float:
    length = max(len(said), len(gold)) if longer is None else longer
    return 1.0 if length == 0 else 1.0 - edit_distance(said, gold) / length


def _cut(similarity: float) -> float:
    return similarity if similarity >= 0.5 else 0.0


def _collapsed(text: str) -> str:
    return " ".join(text.lower().split())
