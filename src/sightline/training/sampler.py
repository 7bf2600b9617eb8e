"""Order the rows of an epoch so that rows of one image stand together, each row exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from accelerate.data_loader import SkipBatchSampler
from torch.utils.data import Sampler

from sightline.errors import ConfigError

SHUFFLED = "shuffled"  # ours: every row on its own, TRL's order
STRATEGIES = ("random", SHUFFLED, "sequential", "group_by_length", "batch_rebalance")


def check_strategy(name: str) -> None:
    """Raise ConfigError for a `train_sampling_strategy` that transformers (5.23) would take for `random`."""
    if name not in STRATEGIES:
        raise ConfigError(f"train_sampling_strategy: expected one of {', '.join(STRATEGIES)}; got '{name}'.")


def _set_epoch_below(self: Any, epoch: int) -> None:
    """Sets the epoch of the sampler beneath any number of wrappers."""
    inner: Any = self
    while inner is not None and (inner is self or not hasattr(inner, "set_epoch")):
        inner = getattr(inner, "batch_sampler", None) or getattr(inner, "sampler", None)
    if inner is not None:
        inner.set_epoch(epoch)


# accelerate 1.15 sets the epoch two wrappers deep, so that a run on several processes, which skips batches to resume,
# would read the first epoch's order again, with TRL's own sampler as well.
if not hasattr(SkipBatchSampler, "set_epoch"):
    SkipBatchSampler.set_epoch = _set_epoch_below


def order_seed(args: Any) -> int:
    """The seed of the order of rows, and of what is drawn for each: `data_seed`, or `seed` where it is not set."""
    return int(args.seed if args.data_seed is None else args.data_seed)


class ImageGroupSampler(Sampler[int]):
    """Row indices of an epoch: images in random order, the rows of an image one after another, in random order.

    Seeded: the order depends on `seed` and the epoch alone, so that a resumed run sees the same rows.
    """

    def __init__(self, image_keys: Sequence[str], seed: int) -> None:
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

    @property
    def group_sizes(self) -> np.ndarray:
        """How many rows each image has."""
        return np.array([len(group) for group in self._groups])


def describe_order(strategy: str, grouping: ImageGroupSampler | None, batch: int) -> str:
    """The order of rows for the user: where images are grouped, how many of them a batch shows, and in TRL's order.

    Expected values: a group of g rows that stand together lies in 1 + (g - 1) / batch batches; a batch of rows drawn
    on their own shows an image of g rows with probability 1 - (1 - g / rows) ** batch.
    """
    words = {"random": "random, as TRL shuffles", SHUFFLED: "random, as TRL shuffles", "sequential": "as rows stand"}
    if grouping is None:
        return f"Order: {words.get(strategy, strategy)}."
    sizes, rows = grouping.group_sizes, len(grouping)
    batch = min(batch, rows)
    together = float((1 + (sizes - 1) / batch).sum() * batch / rows)
    alone = float((1 - (1 - sizes / rows) ** batch).sum())
    return (
        f"Order: random, rows of one image together: a batch of {batch} shows about {together:.1f} images. "
        f"train_sampling_strategy {SHUFFLED} takes each row on its own, as TRL does: about {alone:.1f} images, "
        f"{alone / together:.1f} times as many to read."
    )
