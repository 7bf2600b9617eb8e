"""ANLS of DocVQA: similarity to a gold answer by edit distance, 0 below one half.

Sources: Biten et al., 2019, "Scene text visual question answering"; peers, described: lmms-eval 0.7.3 api/metrics.py,
VLMEvalKit dataset/utils/vqa_eval.py at e8e78f0.
"""

from __future__ import annotations

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


def _similarity(said: str, gold: str, longer: int | None = None) -> float:
    length = max(len(said), len(gold)) if longer is None else longer
    return 1.0 if length == 0 else 1.0 - edit_distance(said, gold) / length


def _cut(similarity: float) -> float:
    return similarity if similarity >= 0.5 else 0.0


def _collapsed(text: str) -> str:
    return " ".join(text.lower().split())


def edit_distance(first: str, second: str) -> int:
    """The least number of edits of one character; 0 for equal texts.

    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(second) + 1))
    for line, letter in enumerate(first, start=1):
        diagonal, row[0] = row[0], line
        for column, other in enumerate(second, start=1):
            replaced = diagonal + (letter != other)
            diagonal = row[column]
            row[column] = min(replaced, diagonal + 1, row[column - 1] + 1)
    return row[-1]
