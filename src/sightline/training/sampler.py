"""Order the rows of an epoch so that rows of one image stand together, each row exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence as Many

import numpy as np
from torch.utils.data import Sampler


class ImageGroupSampler(Sampler[int]):
    """Row indices of an epoch: images in random order, the rows of an image one after another, in random order.

    Seeded: the order depends on `seed` and the epoch alone, so that a resumed run sees the same rows.
    """

    def __init__(self, image_keys: Many[str], seed: int) -> None:
        groups: dict[str, list[int]] = {}
        for index, key in enumerate(image_keys):
            groups.setdefault(key, []).append(index)
        self._groups = [np.array(group) for group in groups.values()]
        self._length = len(image_keys)
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self._seed, self._epoch])
        for group in random.permutation(len(self._groups)):
            yield from random.permutation(self._groups[group]).tolist()
