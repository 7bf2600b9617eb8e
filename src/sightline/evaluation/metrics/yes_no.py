"""Accuracy, precision, recall, F1 and yes ratio of yes/no questions, "yes" being the positive class.

Sources, described: AoiDragon/POPE evaluate.py at 08d957b; lmms-eval 0.7.3 tasks/pope; VLMEvalKit dataset/utils/yorn.py
at e8e78f0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from sightline.evaluation.metrics.means import additive, ratio, table_of
from sightline.evaluation.task import Metric
from sightline.scoring.records import Judged

# Columns of the sums.
_TP, _FP, _FN, _TN, _RIGHT, _YES, _ALL = range(7)

Count = Callable[[str, str | None], tuple[bool, bool, bool, bool]]
"""Gold and what was said to true positive, false positive, false negative, true negative."""


def yes_no_metrics() -> tuple[Metric, ...]:
    """Unparsed answers are wrong ones: missed where the gold is yes, false alarms where it is no.

    The first, mean F1, is the mean over categories (POPE's three samplings) and the number that papers quote.
    """
    return _metrics(_count_unparsed_as_wrong)


def lmms_eval_yes_no_metrics() -> tuple[Metric, ...]:
    """lmms-eval's: unparsed answers count in accuracy alone, and the yes ratio is that of the gold answers."""
    return _metrics(_count_said, yes_of_gold=True)


def vlmevalkit_yes_no_metrics() -> tuple[Metric, ...]:
    """VLMEvalKit's: unparsed answers are not yes; an item of several categories ("random,popular") counts in each."""
    return _metrics(_count_not_yes, repeated=True)


def _metrics(count: Count, yes_of_gold: bool = False, repeated: bool = False) -> tuple[Metric, ...]:
    def sums(judged: Sequence[Judged]) -> np.ndarray:
        rows = [_row(one, count, yes_of_gold) for one in judged]
        times = [len(one.item.category.split(",")) if repeated else 1 for one in judged]
        return table_of(rows, 7) * np.array(times, dtype=float).reshape(-1, 1)

    return (
        _mean_f1(sums),
        additive("f1", sums, _f1),
        additive("accuracy", sums, lambda counts: ratio(counts[..., _RIGHT], counts[..., _ALL])),
        additive("precision", sums, _precision),
        additive("recall", sums, _recall),
        additive("yes_ratio", sums, lambda counts: ratio(counts[..., _YES], counts[..., _ALL])),
    )


def _row(one: Judged, count: Count, yes_of_gold: bool) -> Iterable[float]:
    gold, said = one.item.answers[0].strip().lower(), one.verdict.parsed
    said = said.lower() if said is not None else None
    return (*count(gold, said), one.verdict.score, (gold if yes_of_gold else said) == "yes", 1.0)


def _mean_f1(sums: Callable[[Sequence[Judged]], np.ndarray]) -> Metric:
    def sums_by_category(judged: Sequence[Judged]) -> np.ndarray:
        categories = list(dict.fromkeys(name for one in judged for name in one.item.category.split(",")))
        table = np.zeros((len(judged), max(len(categories), 1), 7))
        for row, (one, counts) in enumerate(zip(judged, sums(judged), strict=True)):
            names = one.item.category.split(",")
            for name in names:
                table[row, categories.index(name)] = counts / len(names)
        return table.reshape(len(judged), table.shape[1] * 7)

    def combine(summed: np.ndarray) -> np.ndarray:
        return _f1(summed.reshape(*summed.shape[:-1], -1, 7)).mean(axis=-1)

    return additive("mean_f1", sums_by_category, combine)


def _precision(counts: np.ndarray) -> np.ndarray:
    return ratio(counts[..., _TP], counts[..., _TP] + counts[..., _FP])


def _recall(counts: np.ndarray) -> np.ndarray:
    return ratio(counts[..., _TP], counts[..., _TP] + counts[..., _FN])


def _f1(counts: np.ndarray) -> np.ndarray:
    return ratio(2 * counts[..., _TP], 2 * counts[..., _TP] + counts[..., _FP] + counts[..., _FN])


def _count_unparsed_as_wrong(gold: str, said: str | None) -> tuple[bool, bool, bool, bool]:
    positive = gold == "yes"
    return (
        positive and said == "yes",
        not positive and said != "no",
        positive and said != "yes",
        not positive and said == "no",
    )


def _count_said(gold: str, said: str | None) -> tuple[bool, bool, bool, bool]:
    positive = gold == "yes"
    return (
        positive and said == "yes",
        not positive and said == "yes",
        positive and said == "no",
        not positive and said == "no",
    )


def _count_not_yes(gold: str, said: str | None) -> tuple[bool, bool, bool, bool]:
    return _count_said(gold, said if said == "yes" else "no")
