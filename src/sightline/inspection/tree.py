"""The forest of a batch as segments that a person can draw: what every sequence shares, and where they part."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.engine.forest import Forest


@dataclass(frozen=True)
class Segment:
    """Tokens that the same sequences share.

    Attributes:
        start: position of the first token in those sequences.
        tokens: how many there are.
        members: the sequences of the batch.
        branches: what follows, where the sequences part.
    """

    start: int
    tokens: int
    members: tuple[int, ...]
    branches: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class DrawnForest:
    """A forest and what it saves.

    Attributes:
        trees: the trunks.
        plain: tokens of all sequences, each alone.
        shared: tokens of the forest.
    """

    trees: tuple[Segment, ...]
    plain: int
    shared: int

    @property
    def saved(self) -> float:
        """The share of tokens that need not be computed."""
        return 1 - self.shared / self.plain


def draw_forest(forest: Forest) -> DrawnForest:
    """The segments of a forest, from the paths of its sequences."""
    paths = [path[path >= 0].tolist() for path in forest.path_NL]
    trees = _grow(paths, tuple(range(len(paths))), 0)
    return DrawnForest(trees, sum(map(len, paths)), int(torch.unique(forest.path_NL[forest.path_NL >= 0]).numel()))


def _grow(paths: list[list[int]], members: tuple[int, ...], start: int) -> tuple[Segment, ...]:
    """The segments that begin at position `start` of the members' paths."""
    groups: dict[int, list[int]] = {}
    for member in members:
        if len(paths[member]) > start:
            groups.setdefault(paths[member][start], []).append(member)
    segments = []
    for group in map(tuple, groups.values()):
        end = start + 1
        while all(len(paths[member]) > end and paths[member][end] == paths[group[0]][end] for member in group):
            end += 1
        segments.append(Segment(start, end - start, group, _grow(paths, group, end)))
    return tuple(segments)
