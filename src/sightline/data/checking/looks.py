"""Perceptual hashes of images, and an exact nearest-neighbour search among them."""

# Dims: N pictures, M pictures among which one is sought, C cells of a look (8 x 8, three colours), G groups of cells
# (4 x 4, three colours), P pairs.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE, GROUPED = 8, 4
BLOCK, REFERENCES, PAIRS = 128, 16_384, 65_536

# How far a copy's look may lie from the original's, as a root mean square in levels of 255: compression moves the cells
# of small pictures most. Measured on copies at half to one and a half times the size and JPEG quality 50 to 90, the
# 99th percentile is 8.3 at 36 x 36 pixels, 6.9 at 32 x 32, 1.8 at 640 x 480.
FLOOR, PER_SIDE = 4.0, 300.0
REACH = 14.0
ASPECT = 0.04
ROUNDING = 0.02  # of squares in 32 bits


def glance(rgb: Image.Image) -> bytes:
    """The mean colours of 8 x 8 cells, row by row; scaling, formats and compression hardly change them."""
    return rgb.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()


@dataclass(frozen=True)
class Looks:
    """Looks of pictures: colours of cells, (N, C), and widths and heights in pixels, (N, 2)."""

    cells_NC: np.ndarray
    sizes_N2: np.ndarray

    @classmethod
    def of(cls, looks: Sequence[bytes], sizes: Sequence[tuple[int, int]]) -> Looks:
        """The looks that `glance` gave, and the sizes of their pictures."""
        cells_NC = np.frombuffer(b"".join(looks), dtype=np.uint8).reshape(len(looks), 3 * SIDE * SIDE)
        return cls(cells_NC, np.array(sizes, dtype=np.int64).reshape(len(looks), 2))

    def __len__(self) -> int:
        return len(self.cells_NC)


def most_alike(looks: Looks, among: Looks | None = None) -> np.ndarray:
    """For each picture the index of the one that looks most like it, `among` others or, without them, among those
    before it in `looks`; -1 where none is close enough for a copy, (N,).

    Nothing close is missed: means over groups of cells, and over all of them, never differ by more than the cells do,
    so that these are compared first.
    """
    references = looks if among is None else among
    index_N, distance_N = np.full(len(looks), -1), np.full(len(looks), np.inf)
    for query_P, reference_P in _candidates(looks, references):
        if among is None:
            earlier_P = reference_P < query_P
            query_P, reference_P = query_P[earlier_P], reference_P[earlier_P]
        for start in range(0, len(query_P), PAIRS):
            part = slice(start, start + PAIRS)
            _keep_closest(index_N, distance_N, looks, references, query_P[part], reference_P[part])
    return index_N


def _candidates(looks: Looks, references: Looks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs whose groups of cells are close enough, as indices of both, (P,) and (P,)."""
    groups_NG, groups_MG = _groups(looks), _groups(references)
    reach_N, reach_M = _reach(looks.sizes_N2), _reach(references.sizes_N2)
    farthest = max(reach_N.max(initial=0), reach_M.max(initial=0))
    mean_N, mean_M = groups_NG.mean(1), groups_MG.mean(1)
    order_N, order_M = np.argsort(mean_N, kind="stable"), np.argsort(mean_M, kind="stable")
    sorted_M = mean_M[order_M]
    for start in range(0, len(order_N), BLOCK):
        block = order_N[start : start + BLOCK]
        low = np.searchsorted(sorted_M, mean_N[block[0]] - farthest)
        high = np.searchsorted(sorted_M, mean_N[block[-1]] + farthest, side="right")
        for first in range(low, high, REFERENCES):
            near = order_M[first : min(first + REFERENCES, high)]
            reach_NM = np.maximum(reach_N[block, None], reach_M[near])
            squared_NM = _squared_distances(groups_NG[block], groups_MG[near]) / groups_NG.shape[1]
            query_P, reference_P = np.nonzero(squared_NM <= reach_NM**2 + ROUNDING)
            yield block[query_P], near[reference_P]


def _groups(looks: Looks) -> np.ndarray:
    """Mean colours of groups of cells, less the middle of the range, so that their squares stay precise, (N, G)."""
    width = SIDE // GROUPED
    cells = looks.cells_NC.reshape(-1, GROUPED, width, GROUPED, width, 3)
    return cells.mean((2, 4), dtype=np.float32).reshape(-1, 3 * GROUPED**2) - np.float32(127.5)


def _squared_distances(groups_NG: np.ndarray, groups_MG: np.ndarray) -> np.ndarray:
    squares_N, squares_M = (groups_NG**2).sum(1), (groups_MG**2).sum(1)
    return squares_N[:, None] + squares_M[None, :] - 2 * groups_NG @ groups_MG.T


def _keep_closest(
    index_N: np.ndarray,
    distance_N: np.ndarray,
    looks: Looks,
    references: Looks,
    query_P: np.ndarray,
    other_P: np.ndarray,
) -> None:
    """Put each pair that may be copies into `index_N` and `distance_N`, where it is the closest so far."""
    difference_PC = looks.cells_NC[query_P].astype(np.float32) - references.cells_NC[other_P]
    distance_P = np.sqrt((difference_PC**2).mean(1))
    sizes_P2, others_P2 = looks.sizes_N2[query_P], references.sizes_N2[other_P]
    close_P = (distance_P <= np.maximum(_reach(sizes_P2), _reach(others_P2))) & _same_shape(sizes_P2, others_P2)
    query_P, other_P, distance_P = query_P[close_P], other_P[close_P], distance_P[close_P]
    order_P = np.lexsort((other_P, distance_P))
    first_P = order_P[np.unique(query_P[order_P], return_index=True)[1]]  # of each query its closest
    better_P = first_P[distance_P[first_P] < distance_N[query_P[first_P]]]
    index_N[query_P[better_P]], distance_N[query_P[better_P]] = other_P[better_P], distance_P[better_P]


def _reach(sizes_N2: np.ndarray) -> np.ndarray:
    """How far from the original a copy of this size may look, (N,)."""
    return np.minimum(FLOOR + PER_SIDE / np.sqrt(sizes_N2.prod(1)), REACH).astype(np.float32)


def _same_shape(sizes_P2: np.ndarray, others_P2: np.ndarray) -> np.ndarray:
    """Whether width over height are alike, but for rounding to whole pixels."""
    smallest_P = np.minimum(sizes_P2.min(1), others_P2.min(1))
    ratio_P = np.log(sizes_P2[:, 0] / sizes_P2[:, 1]) - np.log(others_P2[:, 0] / others_P2[:, 1])
    return np.abs(ratio_P) <= ASPECT + 1 / smallest_P
