"""Levenshtein's edit distance: how many insertions, deletions and replacements lead from one text to another."""

from __future__ import annotations


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
