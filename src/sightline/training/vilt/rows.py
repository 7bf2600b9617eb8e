"""Datasets whose random draws are seeded per row and epoch, so that a resumed run repeats them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sightline.data.pictures.augmentation import rand_augment
from sightline.data.vilt.pictures import PictureReader, to_tensors
from sightline.data.vilt.sources import Picture


@dataclass(frozen=True)
class DrawnRow:
    """A row and the seed of its draws."""

    row: Any
    seed: tuple[int, int, int]


class DrawnRows(Dataset):
    """Rows whose draws depend on the run's seed, the epoch and the row alone, not on what was drawn before."""

    def __init__(self, rows: Sequence[Any], seed: int) -> None:
        self._rows = rows
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """What is drawn from now on is drawn for this epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> DrawnRow:
        return DrawnRow(self._rows[index], (self._seed, self._epoch, index))


def generator_of(rows: Sequence[DrawnRow]) -> np.random.Generator:
    """The random numbers of a batch: those of its first row."""
    return np.random.default_rng(rows[0].seed)


@dataclass(frozen=True)
class PictureLoader:
    """Pictures of a batch as tensors.

    Attributes:
        augments: whether each picture is changed by RandAugment.
    """

    reader: PictureReader
    augments: bool = False

    def load(
        self, pictures: Sequence[tuple[Picture, str]], random: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (B, 3, H, W) and their mask (B, H, W) of pictures with the names of their rows."""
        change: Callable[[np.ndarray], np.ndarray] = lambda pixels: rand_augment(pixels, random)  # noqa: E731
        opened = [self.reader.read(picture, name) for picture, name in pictures]
        return to_tensors([change(pixels) for pixels in opened] if self.augments else opened)
