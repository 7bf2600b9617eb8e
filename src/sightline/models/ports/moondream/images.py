"""Pictures as moondream2 reads them: squashed to one view, with tiles of 2024 or overlapping crops of 2025."""

# Sizes are (height, width) in pixels.
from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs

ONE, TILED, CROPPED = "one view", "tiles", "crops"


class MoondreamImageKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]  # a TypedDict
    """What may be set besides transformers' own settings."""

    cut: str
    tiles_from: int
    overlap: int
    max_crops: int


class MoondreamImageProcessor(PilBackend):
    """Views of a picture, the whole one first.

    Attributes:
        size: of a view.
        cut: `one view`, of generation A; `tiles`, of B; `crops`, of C and D.
        tiles_from: the longest side, in pixels, from which on a picture may have tiles.
        overlap: pixels at each side of a crop that its neighbours show, too.
        max_crops: the most crops of a picture.
    """

    model_input_names = ["pixel_values", "image_tiles"]
    valid_kwargs = MoondreamImageKwargs
    resample = PILImageResampling.BICUBIC
    image_mean = [0.5, 0.5, 0.5]
    image_std = [0.5, 0.5, 0.5]
    size = {"height": 378, "width": 378}
    default_to_square = True
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    cut = ONE
    tiles_from = 512
    overlap = 56
    max_crops = 12

    def _preprocess(
        self,
        images: list[np.ndarray],
        size: SizeDict,
        resample: Any,
        return_tensors: Any,
        **settings: Any,
    ) -> BatchFeature:
        """Views of each picture, and with tiles or crops how many are in a column and in a row."""

        def normal(image: np.ndarray) -> np.ndarray:
            scaled = self.rescale(image, settings["rescale_factor"]) if settings["do_rescale"] else image
            if not settings["do_normalize"]:
                return np.asarray(scaled, dtype=np.float32)
            return np.asarray(self.normalize(scaled, settings["image_mean"], settings["image_std"]), dtype=np.float32)

        cut, side = settings["cut"], int(size.height)
        if cut == ONE:
            views = [normal(self.resize(image, size, resample)) for image in images]
            return BatchFeature({"pixel_values": np.stack(views)}, tensor_type=return_tensors)
        parts, tiles = [], []
        for image in images:
            shape = (int(image.shape[1]), int(image.shape[2]))
            if cut == TILED:
                target = tiled_size(shape, side, settings["tiles_from"])
                resized = normal(self.resize(image, SizeDict(height=target[0], width=target[1]), resample))
                whole, overlap = _shrunk(resized, side), 0
                rest = [] if target == (side, side) else cut_views(resized, side, 0)
            else:
                overlap = settings["overlap"]
                target = cropped_size(shape, side, overlap, settings["max_crops"])
                whole = normal(self.resize(image, size, resample))
                rest = cut_views(
                    normal(self.resize(image, SizeDict(height=target[0], width=target[1]), resample)), side, overlap
                )
            parts.append(np.stack([whole, *rest]))
            tiles.append([(length - 2 * overlap) // (side - 2 * overlap) for length in target])
        data = {"pixel_values": _padded(parts), "image_tiles": np.array(tiles)}
        return BatchFeature(data, tensor_type=return_tensors)


def tiled_size(shape: tuple[int, int], side: int, tiles_from: int) -> tuple[int, int]:
    """The size that a picture of 2024 is resized to before it is cut into tiles: one, two or four.

    Of the sizes the one whose ratio is nearest, then whose sides are; the authors compare its height with the picture's
    width, and its width with the height.
    """
    height, width = shape
    if max(shape) < tiles_from:
        return side, side

    def distance(size: tuple[int, int]) -> tuple[float, int]:
        return abs(size[1] / size[0] - width / height), abs(size[0] - width) + abs(size[1] - height)

    return min([(side, side), (side, 2 * side), (2 * side, side), (2 * side, 2 * side)], key=distance)


def cropped_size(shape: tuple[int, int], side: int, overlap: int, most: int) -> tuple[int, int]:
    """The size that a picture of 2025 is resized to before it is cut into overlapping crops.

    >>> cropped_size((480, 640), 378, 56, 12)
    (644, 1176)
    """
    step = side - 2 * overlap
    rows, columns = _crops(shape[0] - 2 * overlap, shape[1] - 2 * overlap, step, most)
    return rows * step + 2 * overlap, columns * step + 2 * overlap


def _crops(height: int, width: int, step: int, most: int) -> tuple[int, int]:
    """Crops in a column and in a row for what is left of a picture inside its margins."""
    if height <= step or width <= step:
        return 1, 1
    rows, columns = math.ceil(height / step), math.ceil(width / step)
    if rows * columns > most:
        share = math.sqrt(most / (rows * columns))
        return max(1, math.floor(rows * share)), max(1, math.floor(columns * share))
    rows = max(math.floor(math.sqrt(most * height / width)), rows)
    columns = max(math.floor(math.sqrt(most * width / height)), columns)
    if rows * columns > most:
        if columns > rows:
            columns = most // rows
        else:
            rows = most // columns
    return rows, columns


def cut_views(image: np.ndarray, side: int, overlap: int) -> list[np.ndarray]:
    """Squares of `side` pixels, row by row, of a picture (3, height, width); neighbours share twice `overlap`."""
    step = side - 2 * overlap
    tops, lefts = (range(0, length - side + 1, step) for length in image.shape[1:])
    return [image[:, top : top + side, left : left + side] for top in tops for left in lefts]


def _shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """The picture resized bilinearly without smoothing, as the authors of 2024 resize the tensor of the tiles."""
    tensor = torch.from_numpy(image)[None]
    shrunk: np.ndarray = functional.interpolate(tensor, size=(side, side), mode="bilinear")[0].numpy()
    return shrunk


def _padded(parts: list[np.ndarray]) -> np.ndarray:
    """Views of all pictures in one array, zeros behind those of a picture that has fewer."""
    most = max(map(len, parts))
    return np.stack([np.pad(part, ((0, most - len(part)), (0, 0), (0, 0), (0, 0))) for part in parts])
