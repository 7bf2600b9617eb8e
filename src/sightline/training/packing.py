"""Plan packed rows over the whole dataset, and print the plan."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from sightline.data.encoding.checks import ReadRows
from sightline.data.formats.converted import has_images
from sightline.data.sources.datasets import row_name
from sightline.engine.forest import grow_trees
from sightline.engine.packing import Unit, deal_rows
from sightline.engine.selftest import RouteChoice
from sightline.errors import ConfigError, DataError
from sightline.launch.processes import say
from sightline.training.planned_rows import PlannedRows
from sightline.training.sampler import order_seed

DEFAULT_ROW_TOKENS = 2048
ONE_ROW = sys.maxsize  # tokens that a row may hold where all examples of a batch share one
MAX_IMAGES_PER_ROW_HELP = "With packing: the largest number of distinct images in a packed row; no limit if null."


class PackedRows(TorchDataset):
    """A dataset whose items are packed rows, each the list of its examples."""

    def __init__(self, dataset: Dataset, rows: list[tuple[int, ...]]) -> None:
        self.dataset = dataset
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> list[dict[str, Any]]:
        return [self.dataset[index] for index in self.rows[row]]


@dataclass(frozen=True)
class Packed:
    """What packing made of a dataset.

    Attributes:
        row_tokens: the most tokens of a row.
    """

    rows: PackedRows
    row_tokens: int


@contextmanager
def hidden_packing(args: Any, train_dataset: Any, data_collator: Any) -> Iterator[None]:
    """Packing and padding_free read as off inside, for TRL refuses them for images.

    Raises:
        ConfigError: they are on beside a setting that does not go with them.
    """
    given = shares_rows(args)
    if not given or train_dataset is None or not has_images(train_dataset):
        yield
        return
    if data_collator is not None:
        raise ConfigError(
            f"{given[0]}: a data_collator was given, which makes batches of its own. Drop one of the two."
        )
    if "packing" in given:
        _check_packing(args)
    for name in given:
        setattr(args, name, False)
    try:
        yield
    finally:
        for name in given:
            setattr(args, name, True)


def _check_packing(args: Any) -> None:
    if args.packing_strategy != "bfd":
        raise ConfigError(
            f"packing_strategy: expected bfd for images, whose examples are never split; got '{args.packing_strategy}'."
        )
    if args.train_sampling_strategy not in ("random", "sequential"):
        raise ConfigError(
            f"train_sampling_strategy: expected random or sequential with packing, which makes rows of like length; "
            f"got '{args.train_sampling_strategy}'."
        )


def shares_rows(args: Any) -> list[str]:
    """The settings by which examples share rows: `packing`, `padding_free`, both or none."""
    return [name for name in ("packing", "padding_free") if getattr(args, name, False)]


def require_mask(args: Any, route: RouteChoice) -> None:
    """Nothing where the route lets examples share rows or nothing asks for it.

    Raises:
        ConfigError: `packing` or `padding_free` is on, and the route is not `mask`.
    """
    for name in shares_rows(args):
        if route.route != "mask":
            raise ConfigError(
                f"{name}: examples share a row on the route mask alone, but this run takes {route.route}: "
                f"{route.reason}. Set {name} to false."
            )


def pack_dataset(rows: PlannedRows, columns: Dataset, args: Any, both_ways: str) -> Packed:
    """Rows that were read, as packed rows; prints what they hold.

    Examples with the same images share a row, and so their images, as long as they fit. A row holds `max_length`
    tokens, or where that is not set 2,048, or as many as the longest example has.

    Args:
        columns: of the rows what a batch is made of.
        both_ways: the family's (`FamilyFacts.both_ways`).

    Raises:
        DataError: an example shows more images than a row may.
    """
    read = rows.read
    assert read is not None, "packing reads every row"
    budget = args.max_length or max(DEFAULT_ROW_TOKENS, int(read.counts_N["tokens"].max()))
    max_images = getattr(args, "max_images_per_row", None)
    units = _units(rows, read, columns, budget, max_images, both_ways)
    batch = args.per_device_train_batch_size * args.world_size
    dealt = deal_rows(units, budget, max_images, multiple=batch, seed=order_seed(args))
    say(_summary(dealt, budget))
    packed = [tuple(index for unit in row for index in unit.members) for row in dealt]
    return Packed(PackedRows(columns, packed), budget)


def _units(
    rows: PlannedRows, read: ReadRows, columns: Dataset, budget: int, max_images: int | None, both_ways: str
) -> list[Unit]:
    """Examples by the images that they show, in as many parts as they need to fit a row."""
    groups: dict[str, list[int]] = {}
    for position, key in enumerate(read.image_keys):
        groups.setdefault(key, []).append(position)
    units = []
    for members in groups.values():
        images = read.images_of(members[0])
        if max_images is not None and images > max_images:
            raise DataError(
                f"{row_name(rows.name, members[0])}: {images} images, but max_images_per_row is {max_images}. "
                "Raise it, or drop the row."
            )
        parts = _parts(rows, read, columns, members, budget, both_ways)
        units += [Unit(tuple(part), tokens, images) for part, tokens in parts]
    return units


def _parts(
    rows: PlannedRows, read: ReadRows, columns: Dataset, members: list[int], budget: int, both_ways: str
) -> list[tuple[list[int], int]]:
    """The examples of one image in the fewest equal parts whose trees fit the budget, with the tokens of each."""
    if len(members) == 1:
        return [(members, int(read.counts_N["tokens"][members[0]]))]
    sequences = {
        member: read.encoder.read_by_size(
            columns[member], read.shown[member], read.preferences, row_name(rows.name, member)
        ).sequences[0]
        for member in members
    }
    count = 1
    while True:
        parts = [part.tolist() for part in np.array_split(members, count)]
        grown = [grow_trees([sequences[member] for member in part], range(len(part)), both_ways) for part in parts]
        tokens = [sum(map(len, trees)) for trees in grown]
        if max(tokens) <= budget:
            return list(zip(parts, tokens, strict=True))
        count = max(count + 1, math.ceil(sum(tokens) / budget))


def _summary(rows: list[list[Unit]], budget: int) -> str:
    """One line for the user: rows, examples a row, tokens used of the budget."""
    examples = sum(len(unit.members) for row in rows for unit in row)
    tokens = sum(unit.tokens for row in rows for unit in row)
    images = max(sum(unit.images for unit in row) for row in rows)
    return (
        f"Packing: {examples:,} examples in {len(rows):,} rows of at most {budget:,} tokens: "
        f"{examples / len(rows):.1f} examples and {tokens / len(rows):,.0f} tokens a row "
        f"({tokens / len(rows) / budget:.0%} of the budget), at most {images:,} images in one."
    )
