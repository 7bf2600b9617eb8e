"""ROUGE-L of a caption: how long a subsequence it shares with its references.

Source: Lin, 2004; beta 1.2 and the best precision and recall over references as in pycocoevalcap 1.2.
"""

from __future__ import annotations

from collections.abc import Sequence

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
