"""Encode each distinct image once, keep its features while needed, put them at a forest's placeholders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sightline.data.encoding.processors import Expansion, ImageTable, first_rows, layout_of, process_images
from sightline.engine.forest import Forest
from sightline.errors import DataError
from sightline.types import ADDED, FamilyFacts, Picture

# Dims: R rows, L tokens, F feature rows of all distinct images, P placeholders, H hidden (times 1 + deepstack layers in
# the table), S entries of an image input.


def encode_images(model: Any, facts: FamilyFacts, image_inputs: dict[str, Any]) -> Tensor:
    """Features of all distinct images, one image after another, as the decoder receives them, (F, H).

    Where features also enter deeper layers, those stand behind the first ones in the same row.
    """
    inputs = {name: image_inputs[name] for name in facts.image_inputs if name in image_inputs}
    if facts.row_input:
        inputs[facts.row_input] = _row_lengths(inputs[facts.row_input])
    output = model.base_model.get_image_features(**inputs, return_dict=True)
    # Without a projector the features are the tower's own output (Fuyu).
    first_FH = _table(output.last_hidden_state if output.pooler_output is None else output.pooler_output)
    return torch.cat([first_FH, *map(_table, output.deepstack_features)], dim=1) if facts.deepstack else first_FH


def placed(facts: FamilyFacts, features_FH: Tensor, feature_P: Tensor, hidden_size: int) -> dict[str, Any]:
    """The model's keyword arguments that put feature rows `feature_P` behind the placeholders, in reading order."""
    first, *deeper = _rows(features_FH, feature_P).split(hidden_size, dim=1)
    output = BaseModelOutputWithPooling(pooler_output=[first] if facts.features_listed else first)
    if facts.deepstack:
        output.deepstack_features = [[layer] for layer in deeper]
    return {"mm_encoder_outputs": {"image": output}}


def embedded(model: Any, facts: FamilyFacts, forest: Forest, features_FH: Tensor | None) -> Tensor:
    """The decoder's embeddings of a forest with the features in or on those of the placeholders, (R, L, H)."""
    embed = model.get_input_embeddings()
    if features_FH is None or not len(forest.feature_P):
        return embed(forest.ids_RL)
    added = facts.features_enter == ADDED
    # A placeholder whose embedding is replaced may lie outside the vocabulary (PaliGemma).
    ids_T = forest.ids_RL.flatten() if added else forest.ids_RL.flatten().index_fill(0, forest.place_P, 0)
    embedding_TH = embed(ids_T)
    features_PH = _rows(features_FH, forest.feature_P).to(embedding_TH.dtype)
    put = embedding_TH.index_add if added else embedding_TH.index_copy
    return put(0, forest.place_P, features_PH).unflatten(0, forest.ids_RL.shape)


def pick_inputs(
    image_inputs: dict[str, Any], order: Tensor, counts: Sequence[int], facts: FamilyFacts
) -> dict[str, Any]:
    """The image inputs of the images `order`, from those of all distinct images, which have `counts` placeholders
    each."""
    crops, shapes_S = image_inputs.get(facts.crop_input), image_inputs.get(facts.shape_input)
    picked = {}
    for name, value in image_inputs.items():
        if crops is not None and name == facts.image_inputs[0]:
            parts = value.split(crops.tolist())
        else:
            parts = value.split(_entries(value, counts, shapes_S))
        if name == facts.index_input and crops is not None:
            parts = _pointing_anew(parts, order, crops * image_inputs[facts.image_inputs[0]].shape[1])
        else:
            parts = [parts[image] for image in order.tolist()]
        picked[name] = torch.cat(list(parts))
    return picked


def _entries(value: Tensor, counts: Sequence[int], shapes_S: Tensor | None) -> list[int]:
    """How many entries of the first axis each image has: one, or (patches, tiles) in proportion to placeholders;
    `shapes_S` are height and width of each tile where they differ."""
    if not counts or len(value) == len(counts):
        return [1] * len(value)
    size_S = torch.ones(len(value), dtype=torch.long) if shapes_S is None else shapes_S.prod(dim=1).cpu()
    placeholders = torch.tensor(counts)
    share_S, shares = size_S.cumsum(0) * placeholders.sum(), placeholders.cumsum(0) * size_S.sum()
    ends = torch.searchsorted(share_S, shares, right=True)
    if not torch.equal(share_S[ends - 1], shares):
        raise DataError(
            f"Expected an image input whose entries divide among the images as their placeholders do, but got "
            f"{len(value)} entries for {list(counts)} placeholders. Use images of one size, or batches of one row."
        )
    return ends.diff(prepend=ends.new_zeros(1)).tolist()


def _pointing_anew(parts: Sequence[Tensor], order: Tensor, sizes: Tensor) -> list[Tensor]:
    """Pointers into the `sizes` patches of the picked images; -1 points nowhere."""
    starts = sizes.cumsum(0) - sizes
    new_starts = sizes[order].cumsum(0) - sizes[order]
    shifts = (new_starts - starts[order]).tolist()
    return [
        torch.where(parts[image] >= 0, parts[image] + shift, -1)
        for image, shift in zip(order.tolist(), shifts, strict=True)
    ]


def _row_lengths(images_beside: Tensor) -> Tensor:
    """Images of each row, where the model shall see those alone in a row first, then the others in one row of two or
    more; the model stops at the last image, whatever the length says."""
    alone = int((images_beside == 1).sum())
    others = len(images_beside) - alone
    return torch.tensor([1] * alone + [max(2, others)] * bool(others), device=images_beside.device)


def _rows(features_FH: Tensor, feature_P: Tensor) -> Tensor:
    in_order = torch.arange(len(features_FH), device=feature_P.device)
    return features_FH if torch.equal(feature_P, in_order) else features_FH[feature_P]


def _table(features: Any) -> Tensor:
    table = features if isinstance(features, Tensor) else torch.cat(list(features))
    return table.reshape(-1, table.shape[-1])


# Dims: F feature rows, H hidden (times 1 + deepstack layers).


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
