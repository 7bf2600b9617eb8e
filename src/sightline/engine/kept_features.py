"""Keep the features of pictures while questions about them wait: each passes the vision tower once."""

# Dims: F feature rows, H hidden (times 1 + deepstack layers).
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.data.image_tokens import ImageTable, first_rows, process_images
from sightline.engine.features import encode_images
from sightline.types import FamilyFacts, Picture


@dataclass(frozen=True)
class Encoded:
    """A picture as the decoder receives it.

    Attributes:
        expansion: the ids that its placeholder becomes.
        grid: with M-RoPE its grid, one row; None otherwise.
    """

    expansion: np.ndarray
    features_FH: Tensor
    grid: Tensor | None


@dataclass(frozen=True)
class PictureTable:
    """The pictures of a batch: their tokens, and their features one after another (None without pictures)."""

    images: ImageTable
    features_FH: Tensor | None


class KeptFeatures:
    """Encodes pictures with a model's tower and projector and remembers them by key."""

    def __init__(self, model: Any, facts: FamilyFacts, processor: Any) -> None:
        self.model = model
        self.facts = facts
        self.processor = processor
        self._encoded: dict[str, Encoded] = {}

    def table(self, pictures: Mapping[str, Picture]) -> PictureTable:
        """The pictures, by key, in their order; those not known yet are opened and encoded in one call."""
        self._encode({key: picture for key, picture in pictures.items() if key not in self._encoded})
        found = [self._encoded[key] for key in pictures]
        counts = tuple(len(encoded.features_FH) for encoded in found)
        grids = [encoded.grid for encoded in found if encoded.grid is not None]
        table = ImageTable(
            image_inputs={self.facts.grid_input: torch.cat(grids)} if grids else {},
            expansions=tuple(encoded.expansion for encoded in found),
            first_rows=first_rows(counts),
            keys=tuple(pictures),
            counts=counts,
        )
        return PictureTable(table, torch.cat([encoded.features_FH for encoded in found]) if found else None)

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget all other pictures."""
        self._encoded = {key: encoded for key, encoded in self._encoded.items() if key in keys}

    @torch.inference_mode()
    def _encode(self, pictures: Mapping[str, Picture]) -> None:
        if not pictures:
            return
        table = process_images(self.processor, [picture.open() for picture in pictures.values()])
        inputs = {name: self._moved(value) for name, value in table.image_inputs.items()}
        parts = encode_images(self.model, self.facts, inputs).split(table.counts)
        grids = inputs[self.facts.grid_input].split(1) if self.facts.grid_input else [None] * len(parts)
        for key, expansion, part, grid in zip(pictures, table.expansions, parts, grids, strict=True):
            self._encoded[key] = Encoded(expansion, part, grid)

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
