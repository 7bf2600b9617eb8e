"""Keep the features of pictures while questions about them wait: each passes the vision tower once."""

# Dims: F feature rows, H hidden (times 1 + deepstack layers).
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sightline.data.encoding.processors import Expansion, ImageTable, first_rows, layout_of, process_images
from sightline.engine.features import encode_images
from sightline.types import FamilyFacts, Picture


@dataclass(frozen=True)
class Shown:
    """A picture of a prompt as it is processed.

    Attributes:
        beside: it stands beside others, and the processor treats it in another way for that.
    """

    picture: Picture
    beside: bool

    @property
    def key(self) -> str:
        """Equal for pictures that have the same features."""
        return f"{self.picture.key} beside others" if self.beside else self.picture.key


@dataclass(frozen=True)
class PictureTable:
    """The pictures of a batch: their tokens, and their features one after another (None without pictures)."""

    images: ImageTable
    features_FH: Tensor | None


@dataclass(frozen=True)
class _Encoded:
    """A picture as the decoder receives it; with M-RoPE its grid, one row."""

    expansion: Expansion
    features_FH: Tensor
    grid: Tensor | None


def shown_pictures(processor: Any, pictures: tuple[Picture, ...]) -> tuple[Shown, ...]:
    """The pictures of one prompt as the processor treats them."""
    beside = len(pictures) > 1 and bool(layout_of(processor).beside)
    return tuple(Shown(picture, beside) for picture in pictures)


class KeptFeatures:
    """Encodes pictures with a model's tower and projector and remembers them by key."""

    def __init__(self, model: Any, facts: FamilyFacts, processor: Any) -> None:
        self.model = model
        self.facts = facts
        self.processor = processor
        self._encoded: dict[str, _Encoded] = {}

    def table(self, pictures: Mapping[str, Shown]) -> PictureTable:
        """The pictures, by key, in their order; those not known yet are opened and encoded."""
        for beside in (False, True):
            self._encode({key: p for key, p in pictures.items() if p.beside == beside and key not in self._encoded})
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
    def _encode(self, pictures: Mapping[str, Shown]) -> None:
        if not pictures:
            return
        images = [shown.picture.open() for shown in pictures.values()]
        table = process_images(self.processor, images, [shown.beside for shown in pictures.values()])
        inputs = {name: self._moved(value) for name, value in table.image_inputs.items()}
        parts = encode_images(self.model, self.facts, inputs).split(table.counts)
        grids = inputs[self.facts.grid_input].split(1) if self.facts.grid_input else [None] * len(parts)
        for key, expansion, part, grid in zip(pictures, table.expansions, parts, grids, strict=True):
            self._encoded[key] = _Encoded(expansion, part, grid)

    def _moved(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
