"""Make the rows of the self-test hold what batches may: answers that part within a tree, and trees that share a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sightline.engine.forest import Tree, grow_trees
from sightline.types import TokenSequence

SHARED_END, NEW_END = 2, 3  # tokens that a row loses, and those that its fork has instead
LAST_WORDS = 12  # of a row, where no words stand but its text's


def forked(sequences: Sequence[TokenSequence], both_ways: str) -> Sequence[TokenSequence]:
    """The sequences; where none part within a tree, one of them once more, with another end.

    A model whose layers keep a state, or shift tokens, reads rows that do not part rightly in one pass, and others
    not: what follows one branch would see the other.
    """
    if any(_parts_inside(tree) for tree in grow_trees(sequences, range(len(sequences)), both_ways)):
        return sequences
    for sequence in sorted(sequences, key=lambda one: (not one.scored_L[-SHARED_END:].all(), len(one.ids_L))):
        fork = _fork(sequence, sequences)
        if fork is not None:
            return [*sequences, fork]
    return sequences


def row_tokens(sequences: Sequence[TokenSequence], both_ways: str) -> int | None:
    """How many tokens let two trees share a row; None where there is one tree, or the longest leaves room for two."""
    lengths = sorted(len(tree) for tree in grow_trees(sequences, range(len(sequences)), both_ways))
    if len(lengths) < 2 or sum(lengths[:2]) <= lengths[-1] and len(lengths) > 2:
        return None
    return lengths[0] + lengths[-1]


def _parts_inside(tree: Tree) -> bool:
    """Whether a branch of at least two tokens stands behind another one: one of its tokens is predicted inside it."""
    jumps = [np.flatnonzero(np.diff(path) != 1) for path in tree.paths]
    return any(len(jump) and jump[-1] + 2 < len(path) for jump, path in zip(jumps, tree.paths, strict=True))


def _fork(sequence: TokenSequence, others: Sequence[TokenSequence]) -> TokenSequence | None:
    """The sequence with another end, of words of all rows; None where it does not end in text."""
    kept = len(sequence.ids_L) - SHARED_END
    if kept < 2 or not _is_text_L(sequence)[-SHARED_END:].all():
        return None
    ends = [one.ids_L[-LAST_WORDS:][_is_text_L(one)[-LAST_WORDS:]] for one in (sequence, *others)]
    words = [int(word) for word in dict.fromkeys(np.concatenate(ends).tolist()) if word != sequence.ids_L[kept]]
    if not words:
        return None
    end = np.resize(words, NEW_END).astype(sequence.ids_L.dtype)
    image_L = sequence.image_L
    return replace(
        sequence,
        ids_L=np.concatenate([sequence.ids_L[:kept], end]),
        feature_L=np.concatenate([sequence.feature_L[:kept], np.full(NEW_END, -1, sequence.feature_L.dtype)]),
        scored_L=np.concatenate([sequence.scored_L[:kept], np.ones(NEW_END, dtype=bool)]),
        image_L=None if image_L is None else np.concatenate([image_L[:kept], np.zeros(NEW_END, dtype=bool)]),
    )


def _is_text_L(sequence: TokenSequence) -> np.ndarray:
    return (sequence.feature_L < 0) & ~sequence.both_ways_L("")
