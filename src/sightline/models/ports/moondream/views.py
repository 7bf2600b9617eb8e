"""Join the features of a picture's tiles or overlapping crops to one map of the size of a view."""

# Dims: N views of one picture, P patches of a view in rows of G, C channels, T tiles in rows and columns.
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def joined_views(view_NPC: Tensor, tiles: tuple[int, int], overlap: int) -> Tensor:
    """For each patch of the whole view its own features and those of the tiles at its place, (P, 2C).

    The first view is the whole picture; without others it stands for them, too. Tiles without an overlap are resized
    to the whole's grid bilinearly, as of 2024; crops with one (in patches) are averaged, as of 2025.
    """
    whole_PC = view_NPC[0]
    grid = round(len(whole_PC) ** 0.5)
    if len(view_NPC) == 1:
        return torch.cat([whole_PC, whole_PC], dim=-1)
    map_CRR = _mosaic(view_NPC[1:], tiles, overlap, grid)[None]
    if overlap:
        fitted = functional.adaptive_avg_pool2d(map_CRR, (grid, grid))
    else:
        fitted = functional.interpolate(map_CRR, size=(grid, grid), mode="bilinear")
    return torch.cat([whole_PC, fitted[0].flatten(1).T], dim=-1)


def _mosaic(tile_TPC: Tensor, tiles: tuple[int, int], overlap: int, grid: int) -> Tensor:
    """The tiles side by side as one map (C, rows, columns), without what a neighbour shows, too."""
    rows = []
    for row in range(tiles[0]):
        cut = []
        for column in range(tiles[1]):
            map_GGC = tile_TPC[row * tiles[1] + column].unflatten(0, (grid, grid))
            down, right = _kept(row, tiles[0], overlap, grid), _kept(column, tiles[1], overlap, grid)
            cut.append(map_GGC[down, right])
        rows.append(torch.cat(cut, dim=1))
    return torch.cat(rows).permute(2, 0, 1)


def _kept(index: int, count: int, overlap: int, grid: int) -> slice:
    """The patches of a tile that stay: all but the overlap towards a neighbour."""
    return slice(overlap if index else 0, grid if index == count - 1 else grid - overlap)
