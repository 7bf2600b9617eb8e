"""Prepare images for ViLT: bounded sides, whole patches, padding in a batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.data.pictures.images import file_stamps, open_image
from sightline.data.vilt.sources import Picture, PictureCheck
from sightline.errors import DataError

# Dims: B pictures, H height, W width in pixels.

# The authors bound the longer side by this share of the shorter one (COCO's 1333 by 800): 639 for 384.
LONGER_SHARE = 1333 / 800
MEAN, DEVIATION = 0.5, 0.5
CACHE_BYTES = 2**31


@dataclass(frozen=True)
class PictureShape:
    """The size that pictures are brought to.

    Attributes:
        shorter: the shorter side, in pixels.
        multiple: both sides are cut down to whole multiples of it: the patch size, or a multiple of that.
    """

    shorter: int = 384
    multiple: int = 32

    @property
    def longer(self) -> int:
        """The longest side that a picture may have, in pixels."""
        return int(LONGER_SHARE * self.shorter)

    def target(self, width: int, height: int, name: str) -> tuple[int, int]:
        """Width and height that a picture gets; the same as transformers' ViltImageProcessor gives it.

        Raises:
            DataError: the picture is so narrow that it would have no patch.
        """
        scale = self.shorter / min(width, height)
        sizes = (self.shorter if width <= height else scale * width, self.shorter if height < width else scale * height)
        if max(sizes) > self.longer:
            shrink = self.longer / max(sizes)
            sizes = (shrink * sizes[0], shrink * sizes[1])
        wide, high = (int(size + 0.5) // self.multiple * self.multiple for size in sizes)
        if min(wide, high) == 0:
            raise DataError(
                f"{name}: the picture has {width} x {height} pixels, too narrow: with its longer side at "
                f"{self.longer}, the other would be below one patch of {self.multiple}. Crop it, or drop the row."
            )
        return wide, high


class PictureReader:
    """Opens, sizes and keeps pictures: each is decoded once while the cache (2 GiB of pixels) lasts."""

    def __init__(self, shape: PictureShape, cache_bytes: int = CACHE_BYTES) -> None:
        self.shape = shape
        self._cache: OrderedDict[Any, np.ndarray] = OrderedDict()
        self._room = cache_bytes

    def read(self, picture: Picture | Image.Image, name: str) -> np.ndarray:
        """The sized picture as bytes of RGB, (H, W, 3). Raises DataError: missing, unreadable or too narrow."""
        key = _key(picture)
        if key is not None and key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        image = open_image(picture, name)
        target = self.shape.target(*image.size, name)
        sized = image if image.size == target else image.resize(target, Image.Resampling.BICUBIC)
        pixels = np.asarray(sized)
        if key is not None:
            self._keep(key, pixels)
        return pixels

    def _keep(self, key: Any, pixels: np.ndarray) -> None:
        self._cache[key] = pixels
        self._room -= pixels.nbytes
        while self._room < 0:
            self._room += self._cache.popitem(last=False)[1].nbytes


def _key(picture: Any) -> Any:
    """What a picture in a file is kept under; None where there is no file, which opening it will say."""
    try:
        return (picture, *file_stamps(picture)) if isinstance(picture, str) else None
    except OSError:
        return None


def check_shapes(pictures: Iterable[tuple[Picture, str]], shape: PictureShape, check: PictureCheck) -> None:
    """Notes rows whose pictures, measured when they were read, are too narrow for a patch."""
    for picture, name in pictures:
        with check.bad.of_row(name):
            shape.target(*check.sizes[picture], name)


def to_tensors(pictures: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised pixels (B, 3, H, W), padded below and to the right with zeros, and their mask (B, H, W)."""
    height, width = (max(pixels.shape[side] for pixels in pictures) for side in (0, 1))
    values = torch.zeros(len(pictures), 3, height, width)
    mask = torch.zeros(len(pictures), height, width, dtype=torch.long)
    for index, pixels in enumerate(pictures):
        high, wide = pixels.shape[:2]
        scaled = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255
        values[index, :, :high, :wide] = (scaled - MEAN) / DEVIATION
        mask[index, :high, :wide] = 1
    return values, mask
