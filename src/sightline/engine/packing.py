"""Bin-pack examples into rows under a token and an image budget."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    """Examples that stay together in a packed row because they share their images.

    Attributes:
        members: indices of the examples.
        tokens: of their trees.
        images: distinct ones that they show.
    """

    members: tuple[int, ...]
    tokens: int
    images: int


def deal_rows(
    units: Sequence[Unit], max_tokens: int, max_images: int | None = None, multiple: int = 1, seed: int = 0
) -> list[list[Unit]]:
    """Units in as few rows as the budgets allow, rounded up to a `multiple` where there are units enough for it.

    The largest unit goes first, each to the row that has the fewest tokens (longest processing time first). A row's
    cost, its attention in the square of its tokens included, depends on its tokens alone, so rows end up costing alike
    and a batch of them has hardly a pad. `seed` decides among units of one size; nothing else is random.

    Every unit must fit a row of its own.
    """
    luck = np.random.default_rng(seed).permutation(len(units))
    # Units without an image fit more rows than others, so they wait.
    order = sorted(range(len(units)), key=lambda index: (not units[index].images, -units[index].tokens, luck[index]))
    ordered = [units[index] for index in order]
    count = math.ceil(sum(unit.tokens for unit in units) / max_tokens)
    if max_images is not None:
        count = max(count, math.ceil(sum(unit.images for unit in units) / max_images))
    while count < len(units):
        rounded = math.ceil(count / multiple) * multiple
        rows = _deal(ordered, rounded if rounded <= len(units) else count, max_tokens, max_images or math.inf)
        if rows is not None:
            return rows
        count += max(1, count // 100)
    return [[unit] for unit in ordered]


def _deal(units: Sequence[Unit], count: int, max_tokens: int, max_images: float) -> list[list[Unit]] | None:
    """Units in exactly `count` rows, each to the row with the fewest tokens among those with room for its images; None
    where that row lacks room for its tokens."""
    rows: list[list[Unit]] = [[] for _ in range(count)]
    image_room = [max_images] * count
    open_rows = [(0, row) for row in range(count)]  # a heap: the row with the fewest tokens is first
    without_image_room: list[tuple[int, int]] = []
    for unit in units:
        if not unit.images and without_image_room:
            open_rows = sorted(open_rows + without_image_room)
            without_image_room = []
        passed: list[tuple[int, int]] = []
        while open_rows and image_room[open_rows[0][1]] < unit.images:
            tokens, row = heapq.heappop(open_rows)
            (passed if image_room[row] else without_image_room).append((tokens, row))
        if not open_rows or open_rows[0][0] + unit.tokens > max_tokens:
            return None
        tokens, row = open_rows[0]
        heapq.heapreplace(open_rows, (tokens + unit.tokens, row))
        rows[row].append(unit)
        image_room[row] -= unit.images
        for entry in passed:
            heapq.heappush(open_rows, entry)
    return rows
