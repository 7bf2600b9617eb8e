"""Merge sequences on their common prefixes into rows of trees: ids, depth, reach, edges, paths."""

# Dims: R rows, L tokens of a row or sequence, N sequences, T scored tokens of a sequence, E edges, P placeholders.
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sightline.types import FRONT, IMAGES, PROMPT, TokenSequence

NO_LABEL = -100  # what transformers and TRL ignore in a loss


@dataclass(frozen=True)
class Tree:
    """Sequences merged on their common prefixes, laid out depth first.

    Attributes:
        ids_L: token ids.
        feature_L: row of the feature table for a placeholder, else -1.
        depth_L: position of a token in its own sequences.
        reach_L: index one past a token's last descendant.
        paths: for each member the indices of its tokens in this layout.
        members: which sequences of the batch the tree holds, in the order of `paths`.
    """

    ids_L: np.ndarray
    feature_L: np.ndarray
    depth_L: np.ndarray
    reach_L: np.ndarray
    paths: tuple[np.ndarray, ...]
    members: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids_L)


@dataclass(frozen=True)
class Forest:
    """Trees in rows as tensors.

    Token `q` of a row may look at token `k` exactly when `k <= q < reach_RL[row, k]`.

    Attributes:
        ids_RL: token ids; a pad reaches only itself.
        depth_RL: position of a token in its own sequences, 0 for pads.
        reach_RL: index in the row one past a token's last descendant.
        feature_P: row of the feature table behind each placeholder, in reading order of the rows.
        place_P: flat index (row * L + index) of each placeholder.
        parent_E: flat index of the token from which an edge predicts.
        child_E: flat index of the predicted token.
        label_E: id of the predicted token.
        edge_NT: the edges that each sequence scores, in order, -1 behind its last.
        block_RL: number of the block that a token belongs to, counted within the row, else -1: an image's placeholders
            or, where `both_ways` says so, all of a tree's images, its front or its prompt.
        path_NL: flat index of each token of a sequence, -1 behind its last.
        shown_I: the distinct images that the sequences show, one sequence after another.
        images_N: how many images each sequence shows.
    """

    ids_RL: Tensor
    depth_RL: Tensor
    reach_RL: Tensor
    feature_P: Tensor
    place_P: Tensor
    parent_E: Tensor
    child_E: Tensor
    label_E: Tensor
    edge_NT: Tensor
    block_RL: Tensor
    path_NL: Tensor
    shown_I: Tensor
    images_N: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Forest:
        """The forest on `device`; accelerate moves whatever has this method."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Forest:
        """The forest in page-locked memory; data loaders pin whatever has this method."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Forest:
        return Forest(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


def build_forest(
    sequences: Sequence[TokenSequence],
    pad_id: int,
    merge: bool = True,
    max_row: int | None = None,
    both_ways: str = "",
    row_of: Sequence[int] | None = None,
) -> Forest:
    """The forest of a batch: sequences merged into trees, trees packed into rows.

    With `merge` off every sequence is a tree of its own in a row of its own. `max_row` is the most tokens a row may
    hold; by default a row is as long as the longest tree, so that trees share a row without lengthening it. `row_of`
    names the row of each sequence instead, where rows were packed beforehand. `both_ways` is the family's
    (`FamilyFacts`): a token that looks ahead is shared only by sequences that agree on all that it sees.
    """
    if not merge:
        row_of = range(len(sequences))
    if row_of is not None:
        members = [[index for index, own in enumerate(row_of) if own == row] for row in sorted(set(row_of))]
        rows = [grow_trees(sequences, indices, both_ways) for indices in members]
        return _lay_out(rows, sequences, pad_id, both_ways)
    trees = grow_trees(sequences, range(len(sequences)), both_ways)
    longest = max(len(tree) for tree in trees)
    return _lay_out(_pack(trees, max(max_row or longest, longest)), sequences, pad_id, both_ways)


def grow_trees(sequences: Sequence[TokenSequence], indices: Sequence[int], both_ways: str = "") -> list[Tree]:
    """The trees of those `sequences` that `indices` names."""
    groups = _groups(sequences, indices, both_ways)
    return [grow_tree([sequences[index] for index in group], tuple(group)) for group in groups]


def grow_tree(sequences: Sequence[TokenSequence], members: tuple[int, ...] | None = None) -> Tree:
    """One tree of sequences that share at least their first token, or of a single sequence.

    Two tokens merge only if their ids, their features and their whole paths are equal.
    """
    # Token and feature as one number, so that one comparison sees both: the same placeholder before another image
    # differs. Text has feature -1, hence the 1.
    keys = [(sequence.feature_L.astype(np.int64) + 1 << 32) + sequence.ids_L for sequence in sequences]
    paths: list[list[np.ndarray]] = [[] for _ in sequences]
    segments: list[_Segment] = []
    open_groups = [(list(range(len(sequences))), 0, -1)]  # members, depth where they begin, segment they go on from
    length = 0
    # A stack, so depth first: all that descends from a token stands before its next sibling, and where its
    # descendants end is one number, its reach. The mask of the whole forest is made of nothing else.
    while open_groups:
        group, start, parent = open_groups.pop()
        end = _common_end([keys[index] for index in group], start)
        segment = _Segment(group[0], start, end, parent, stop=length + end - start)
        for index in group:
            paths[index].append(np.arange(length, segment.stop))
        length = segment.stop
        # Whoever is longer than the shared part goes on; those with the same next token go on together.
        branches = _split([index for index in group if len(keys[index]) > end], keys, end)
        open_groups.extend((branch, end, len(segments)) for branch in reversed(branches))  # the first is popped first
        segments.append(segment)
    shown = [(sequences[one.source], slice(one.start, one.end)) for one in segments]
    ends = _subtree_ends(segments)
    return Tree(
        ids_L=np.concatenate([sequence.ids_L[part] for sequence, part in shown]),
        feature_L=np.concatenate([sequence.feature_L[part] for sequence, part in shown]),
        depth_L=np.concatenate([np.arange(one.start, one.end) for one in segments]),
        reach_L=np.repeat(ends, [one.end - one.start for one in segments]),
        paths=tuple(np.concatenate(path) for path in paths),
        members=members if members is not None else tuple(range(len(sequences))),
    )


class _Segment(NamedTuple):
    """A stretch of a tree without a fork.

    Attributes:
        source: a sequence that holds it.
        start: depth of its first token.
        end: depth one past its last.
        parent: the segment that it goes on from; -1 for the root.
        stop: index in the layout one past its last token.
    """

    source: int
    start: int
    end: int
    parent: int
    stop: int


def _groups(sequences: Sequence[TokenSequence], indices: Sequence[int], both_ways: str) -> list[list[int]]:
    """`indices` by tree: sequences that share everything up to `_shared_end`."""
    groups: dict[tuple[bytes, bytes] | int, list[int]] = {}
    for index in indices:
        sequence = sequences[index]
        end = _shared_end(sequence, both_ways)
        key = (sequence.ids_L[:end].tobytes(), sequence.feature_L[:end].tobytes()) if end else index
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _shared_end(sequence: TokenSequence, both_ways: str) -> int:
    """How many tokens the sequences of a tree share at least: all up to the first image token, or, without an image,
    the first half of what comes before the first scored token; where tokens look ahead, all that they see."""
    # One tree is one stretch of a row, and a row costs attention by its length. Sequences that have only a system
    # prompt in common would make a long tree and save little; a common image, or half a prompt, pays for it.
    scored = np.flatnonzero(sequence.scored_L)
    if both_ways == PROMPT:
        return int(scored[0]) if scored.size else len(sequence.ids_L)
    placeholders = np.flatnonzero(sequence.feature_L >= 0)
    if placeholders.size:
        ahead = both_ways in (IMAGES, FRONT)
        seen = np.flatnonzero(sequence.both_ways_L(both_ways)) if ahead else placeholders[:1]
        return int(seen[-1]) + 1
    return (int(scored[0]) + 1) // 2 if scored.size else 0


def _common_end(keys: list[np.ndarray], start: int) -> int:
    """Index one past the longest prefix that all keys share, given that they agree before `start`."""
    end = min(len(key) for key in keys)
    for key in keys[1:]:
        differ = np.flatnonzero(key[start:end] != keys[0][start:end])
        if differ.size:
            end = start + int(differ[0])
    return end


def _split(group: list[int], keys: list[np.ndarray], depth: int) -> list[list[int]]:
    """Members grouped by their token at `depth`, in order of first appearance."""
    branches: dict[int, list[int]] = {}
    for index in group:
        branches.setdefault(int(keys[index][depth]), []).append(index)
    return list(branches.values())


def _subtree_ends(segments: list[_Segment]) -> list[int]:
    """For each segment the end of its last descendant."""
    ends = [segment.stop for segment in segments]
    # Backwards: children stand behind their parents, so each end is final when it is handed to the parent.
    for number in range(len(segments) - 1, 0, -1):
        parent = segments[number].parent
        ends[parent] = max(ends[parent], ends[number])
    return ends


def _pack(trees: list[Tree], max_row: int) -> list[list[Tree]]:
    """Trees in as few rows of at most `max_row` tokens as first-fit decreasing finds."""
    rows: list[list[Tree]] = []
    room: list[int] = []
    for tree in sorted(trees, key=len, reverse=True):
        row = next((index for index, free in enumerate(room) if free >= len(tree)), None)
        if row is None:
            rows.append([tree])
            room.append(max_row - len(tree))
        else:
            rows[row].append(tree)
            room[row] -= len(tree)
    return rows


def _lay_out(rows: list[list[Tree]], sequences: Sequence[TokenSequence], pad_id: int, both_ways: str) -> Forest:
    """Tensors of the rows, padded to the longest, with the edges that the sequences score."""
    L = max(sum(len(tree) for tree in row) for row in rows)
    ids_RL = np.full((len(rows), L), pad_id, dtype=np.int64)
    feature_RL = np.full((len(rows), L), -1, dtype=np.int64)
    block_RL = np.full((len(rows), L), -1, dtype=np.int64)
    depth_RL = np.zeros((len(rows), L), dtype=np.int64)
    reach_RL = np.tile(np.arange(1, L + 1), (len(rows), 1))
    paths: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(sequences)
    for row, trees in enumerate(rows):
        start = 0
        for tree in trees:
            span = slice(start, start + len(tree))
            ids_RL[row, span] = tree.ids_L
            feature_RL[row, span] = tree.feature_L
            block_L = _blocks(tree, sequences, both_ways)
            # Numbers go on from tree to tree: one block number in two trees would let them see each other.
            block_RL[row, span] = np.where(block_L >= 0, block_L + block_RL[row].max() + 1, -1)
            depth_RL[row, span] = tree.depth_L
            reach_RL[row, span] = tree.reach_L + start
            for member, path in zip(tree.members, tree.paths, strict=True):
                paths[member] = path + (row * L + start)
            start += len(tree)
    return Forest(
        ids_RL=torch.from_numpy(ids_RL),
        depth_RL=torch.from_numpy(depth_RL),
        reach_RL=torch.from_numpy(reach_RL),
        feature_P=torch.from_numpy(feature_RL[feature_RL >= 0]),
        place_P=torch.from_numpy(np.flatnonzero(feature_RL >= 0)),
        block_RL=torch.from_numpy(block_RL),
        path_NL=torch.from_numpy(_padded(paths)),
        shown_I=torch.tensor([image for sequence in sequences for image in sequence.images], dtype=torch.long),
        images_N=torch.tensor([len(sequence.images) for sequence in sequences]),
        **_edges(paths, sequences, ids_RL.reshape(-1)),
    )


def _blocks(tree: Tree, sequences: Sequence[TokenSequence], both_ways: str) -> np.ndarray:
    """For each token of a tree the number of its block, else -1: a run of placeholders, or one for the whole tree."""
    if both_ways not in (IMAGES, FRONT, PROMPT):
        shown_L = tree.feature_L >= 0
        starts_L = shown_L & ~np.pad(shown_L, (1, 0))[:-1]
        return np.where(shown_L, starts_L.cumsum() - 1, -1)
    block_L = np.full(len(tree), -1)
    for member, path in zip(tree.members, tree.paths, strict=True):
        block_L[path[sequences[member].both_ways_L(both_ways)]] = 0
    return block_L


def _padded(paths: list[np.ndarray]) -> np.ndarray:
    padded = np.full((len(paths), max(map(len, paths))), -1, dtype=np.int64)
    for row, path in enumerate(paths):
        padded[row, : len(path)] = path
    return padded


def _edges(paths: list[np.ndarray], sequences: Sequence[TokenSequence], flat_ids: np.ndarray) -> dict[str, Tensor]:
    """The edge fields of a forest: `parent_E`, `child_E`, `label_E` and `edge_NT`."""
    scored = [np.flatnonzero(sequence.scored_L[1:]) + 1 for sequence in sequences]
    children = [path[positions] for path, positions in zip(paths, scored, strict=True)]
    parents = [path[positions - 1] for path, positions in zip(paths, scored, strict=True)]
    # A token has one parent, so the child alone names the edge. Sequences that score the same edge all point at the one
    # that there is of it, so that no logit is computed twice.
    child_E, first, edge = np.unique(np.concatenate(children), return_index=True, return_inverse=True)
    edge_NT = np.full((len(sequences), max(map(len, children))), -1, dtype=np.int64)
    start = 0
    for row, child in enumerate(children):
        edge_NT[row, : len(child)] = edge[start : start + len(child)]
        start += len(child)
    edges = {
        "parent_E": np.concatenate(parents)[first],
        "child_E": child_E,
        "label_E": flat_ids[child_E],
        "edge_NT": edge_NT,
    }
    return {name: torch.from_numpy(array) for name, array in edges.items()}
