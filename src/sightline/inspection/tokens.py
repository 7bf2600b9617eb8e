"""Show what a model reads: tokens as text, a batch's forest as shared segments, an image as the processor cuts it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sightline.data.encoding.processors import ImageTable, process_images
from sightline.engine.forest import Forest
from sightline.types import TokenSequence

READ, TRAINED, IMAGE = "read", "trained", "image"
LONGEST_CHARACTER = 4  # tokens of a byte-level vocabulary that one character may take
BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Token:
    """One or several tokens that are shown together.

    Attributes:
        kind: `read`, `trained`, or `image`.
        start: position of the first of them in the sequence.
        count: how many there are.
        image: of which picture of the row, from 1; 0 for text.
    """

    text: str
    kind: str
    start: int
    count: int = 1
    image: int = 0


def read_tokens(sequence: TokenSequence, tokenizer: Any, first_rows: tuple[int, ...]) -> tuple[Token, ...]:
    """The tokens of a sequence in order; the placeholders of a picture between two words are one.

    `first_rows` holds for each distinct image of the batch the row of its first feature.
    """
    trained_L = trained(sequence)
    image_L = np.searchsorted(first_rows, sequence.feature_L, side="right") if first_rows else np.zeros(0, int)
    tokens: list[Token] = []
    start = 0
    while start < len(sequence.ids_L):
        if sequence.feature_L[start] >= 0:
            stop = start
            while stop < len(image_L) and image_L[stop] == image_L[start] and _goes_on(sequence, start, stop):
                stop += 1
            number = sequence.images.index(int(image_L[start]) - 1) + 1
            tokens.append(Token("", IMAGE, start, stop - start, number))
        else:
            text, stop = _character(sequence.ids_L, start, tokenizer)
            kind = TRAINED if trained_L[start:stop].any() else READ
            tokens.append(Token(text, kind, start, stop - start))
        start = stop
    return tuple(tokens)


def _goes_on(sequence: TokenSequence, start: int, stop: int) -> bool:
    """Whether the token at `stop` stands for the next feature; the same picture again begins anew."""
    return stop == start or bool(sequence.feature_L[stop] == sequence.feature_L[stop - 1] + 1)


def trained(sequence: TokenSequence) -> np.ndarray:
    """Whether a token is trained, (L,): scored, and with a token before it to be predicted from."""
    scored_L = sequence.scored_L.copy()
    scored_L[:1] = False
    return scored_L


def _character(ids_L: np.ndarray, start: int, tokenizer: Any) -> tuple[str, int]:
    """The text of the token at `start`, with those behind it that it takes to make a whole character."""
    text = ""
    for stop in range(start + 1, min(start + LONGEST_CHARACTER, len(ids_L)) + 1):
        text = tokenizer.decode(ids_L[start:stop].tolist(), clean_up_tokenization_spaces=False)
        if BROKEN not in text:
            return _with_space(text, ids_L[start], tokenizer), stop
    return _with_space(text, ids_L[start], tokenizer), start + 1


def _with_space(text: str, token_id: int, tokenizer: Any) -> str:
    """The text with the space in front that decoding a single token of SentencePiece drops."""
    stored = tokenizer.convert_ids_to_tokens(int(token_id)) or ""
    return f" {text}" if stored.startswith("\N{LOWER ONE EIGHTH BLOCK}") and not text.startswith(" ") else text


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


# Inputs of families that give the whole picture first, and whose tiles lose rows at the edges or overlap: how many
# features a tile has cannot be read off.
_OVERLAPPING = frozenset({"image_sizes", "image_tiles", "image_token_pooling"})


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
    if "image_tiles" in table.image_inputs:
        rows, columns = table.image_inputs["image_tiles"][0].tolist()
        return rows, columns
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
