"""Cut an image as the processor does: the exact pixels of each tile, with its tokens."""

# Dims: N tiles, K tokens that an image's placeholder becomes.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from sightline.data.encoding.processors import ImageTable, process_images

# Inputs of families that give the whole picture first, and whose tiles lose rows at the edges or overlap: how many
# features a tile has cannot be read off.
_OVERLAPPING = frozenset({"image_sizes", "image_token_pooling"})


@dataclass(frozen=True)
class Tile:
    """A part of a picture, or the whole of it, as the model gets it.

    Attributes:
        tokens: how many features it becomes; None where they cannot be told from its neighbours'.
    """

    picture: Image.Image
    tokens: int | None = None


@dataclass(frozen=True)
class CutPicture:
    """What a processor makes of a picture.

    Attributes:
        original: the picture as it lies in the data.
        tokens: how many features it becomes in all.
        whole: the whole picture as one tile, where the model gets it so.
        tiles: the parts, row after row; empty where the picture stays whole.
        grid: rows and columns of `tiles`.
        cells: rows and columns of tokens on the whole picture, where they are known.
    """

    original: Image.Image
    tokens: int
    whole: Tile | None = None
    tiles: tuple[Tile, ...] = ()
    grid: tuple[int, int] = (0, 0)
    cells: tuple[int, int] = (0, 0)

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        width, height = self.original.size
        parts = [f"{width} x {height} pixels"]
        if self.tiles:
            tile = self.tiles[0].picture
            rest = f" ({self.tokens - self.whole.tokens:,} tokens)" if self.whole and self.whole.tokens else ""
            parts.append(f"{self.grid[0]} x {self.grid[1]} tiles of {tile.width} x {tile.height}{rest}")
        if self.whole:
            size = f"{self.whole.picture.width} x {self.whole.picture.height}"
            parts.append(f"and the whole at {size}" if self.tiles else f"resized to {size}")
        return f"{' → '.join(parts[:2])}{''.join(f' {part}' for part in parts[2:])}, {self.tokens:,} tokens"


def cut_picture(processor: Any, image: Image.Image, beside: bool = False) -> CutPicture:
    """What the processor makes of an RGB image; `beside` says whether it shares its row with others.

    The tiles are made of the processor's own output; a layout that is not known here gives the number of tokens alone.
    """
    table = process_images(processor, [image], [beside])
    pixels, tokens = table.image_inputs["pixel_values"], table.counts[0]
    pictures = _pictures(processor, table, pixels)
    if not pictures:
        return CutPicture(image, tokens)
    lengths = _run_lengths(table)
    each: list[int | None] = [None] * len(pictures)
    if len(lengths) == len(pictures):
        each = list(lengths)
    elif len(pictures) == 1:
        each = [tokens]
    elif not _OVERLAPPING & table.image_inputs.keys() and tokens % len(pictures) == 0:
        each = [tokens // len(pictures)] * len(pictures)
    tiles = [Tile(picture, count) for picture, count in zip(pictures, each, strict=True)]
    if len(tiles) == 1:
        return CutPicture(image, tokens, tiles[0], cells=_cells(processor, table, tiles[0]))
    return _in_grid(processor, image, table, tiles)


def _in_grid(processor: Any, image: Image.Image, table: ImageTable, tiles: list[Tile]) -> CutPicture:
    """The picture whose tiles stand in a grid, with the whole before them or behind."""
    whole_first = bool(_OVERLAPPING & table.image_inputs.keys())
    whole, parts = (tiles[0], tiles[1:]) if whole_first else (tiles[-1], tiles[:-1])
    patch = getattr(processor, "patch_size", None)
    if "image_sizes" in table.image_inputs and isinstance(patch, int):
        whole = Tile(whole.picture, (whole.picture.width // patch) * (whole.picture.height // patch))
    grid = _grid(processor, image, table, parts)
    if grid[0] * grid[1] != len(parts):
        grid = (1, len(parts))
    return CutPicture(image, table.counts[0], whole, tuple(parts), grid)


def _grid(processor: Any, image: Image.Image, table: ImageTable, parts: list[Tile]) -> tuple[int, int]:
    """Rows and columns of the parts."""
    images = processor.image_processor
    if "image_sizes" in table.image_inputs:
        from transformers.image_processing_utils import select_best_resolution

        height, width = select_best_resolution((image.height, image.width), images.image_grid_pinpoints)
        return height // parts[0].picture.height, width // parts[0].picture.width
    if "return_row_col_info" in images.valid_kwargs.__annotations__:
        found = images([[image]], return_row_col_info=True)
        rows, columns = (
            next(found[key] for key in (name, f"image_{name}") if key in found) for name in ("rows", "cols")
        )
        return int(np.ravel(rows)[0]), int(np.ravel(columns)[0])
    # The others choose the grid of so many tiles whose shape is nearest to the picture's.
    pairs = [(rows, len(parts) // rows) for rows in range(1, len(parts) + 1) if len(parts) % rows == 0]
    return min(pairs, key=lambda pair: abs(math.log(pair[1] / pair[0] * image.height / image.width)))


def _pictures(processor: Any, table: ImageTable, pixels: Any) -> list[Image.Image]:
    """The tiles as pictures; empty where the layout of the pixels is not known."""
    if not isinstance(pixels, Tensor):
        return []
    images = processor.image_processor
    if "image_grid_thw" in table.image_inputs:
        return [_picture(_grid_of_patches(images, pixels, table.image_inputs["image_grid_thw"][0]), images)]
    if pixels.ndim >= 4 and pixels.shape[-3] == 3:
        return [_picture(tile, images) for tile in pixels.reshape(-1, *pixels.shape[-3:])]
    if pixels.ndim == 3:
        return [_picture(tile, images) for tile in _lists_of_patches(table, pixels)]
    return []


def _grid_of_patches(images: Any, pixels: Tensor, grid: Tensor) -> Tensor:
    """Qwen's patches, of which `merge_size` x `merge_size` stand together, put back into one picture."""
    _, height, width = grid.tolist()
    merge, patch = images.merge_size, images.patch_size
    cells = pixels.reshape(height // merge, width // merge, merge, merge, 3, -1, patch, patch)[:, :, :, :, :, 0]
    return cells.permute(4, 0, 2, 5, 1, 3, 6).reshape(3, height * patch, width * patch)


def _lists_of_patches(table: ImageTable, pixels: Tensor) -> list[Tensor]:
    """Tiles given as lists of patches, colours last: with `spatial_shapes` of their own size, else squares."""
    patch = math.isqrt(pixels.shape[-1] // 3)
    if patch**2 * 3 != pixels.shape[-1]:
        return []
    shapes = table.image_inputs.get("spatial_shapes")
    if shapes is None:
        side = math.isqrt(pixels.shape[1])
        if side**2 != pixels.shape[1] or "image_token_pooling" not in table.image_inputs:
            return []
        sizes = [(side, side)] * len(pixels)
    else:
        sizes = [tuple(shape) for shape in shapes.tolist()]
    return [
        tile[: height * width]
        .reshape(height, width, patch, patch, 3)
        .permute(4, 0, 2, 1, 3)
        .reshape(3, height * patch, width * patch)
        for tile, (height, width) in zip(pixels, sizes, strict=True)
    ]


def _picture(tile: Tensor, images: Any) -> Image.Image:
    """A normalised (3, H, W) tile as a picture."""
    values = tile.float().numpy()
    if getattr(images, "do_normalize", True):
        mean, deviation = (np.asarray(getattr(images, name)).reshape(-1, 1, 1) for name in ("image_mean", "image_std"))
        values = values * deviation + mean
    return Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0))


def _run_lengths(table: ImageTable) -> list[int]:
    """Lengths of the runs of features that other tokens part."""
    marks_K = np.pad(table.expansions[0].is_feature_K.astype(int), 1)
    starts, stops = np.flatnonzero(np.diff(marks_K) == 1), np.flatnonzero(np.diff(marks_K) == -1)
    return (stops - starts).tolist()


def _cells(processor: Any, table: ImageTable, tile: Tile) -> tuple[int, int]:
    """Rows and columns of tokens, where a token stands for one square of the picture."""
    if "image_grid_thw" in table.image_inputs:
        _, height, width = table.image_inputs["image_grid_thw"][0].tolist()
        merge = processor.image_processor.merge_size
        return height // merge, width // merge
    patch = getattr(processor, "patch_size", None)
    if not isinstance(patch, int):
        return 0, 0
    cells = tile.picture.height // patch, tile.picture.width // patch
    return cells if cells[0] * cells[1] == table.counts[0] else (0, 0)
