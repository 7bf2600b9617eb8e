"""Several answers to each question: how often they are right, agree, and vary.

Source: the formulas of lmms-eval 0.7.3 api/metrics.py, described; each takes the scores of one question as one row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Scores = Sequence[Sequence[float]]


def expected_accuracy(scores: Scores) -> float:
    """Mean score of all answers."""
    return float(np.mean([score for row in scores for score in row]))


def consensus_accuracy(scores: Scores) -> float:
    """Share of questions whose answers score more than one half on average; a tie is no consensus."""
    return float(np.mean([np.mean(row) > 0.5 for row in scores]))


def internal_variance(scores: Scores) -> float:
    """Mean over questions of the sample variance of their answers; not a number where each has a single answer."""
    variances = [np.var(row, ddof=1) for row in scores if len(row) > 1]
    return float(np.mean(variances)) if variances else float("nan")


def consistency_rate(scores: Scores) -> float:
    """Share of questions whose answers all score the same."""
    return float(np.mean([len(set(row)) == 1 for row in scores]))
