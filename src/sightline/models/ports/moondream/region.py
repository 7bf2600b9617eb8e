"""The region head of moondream2 of 2025: boxes and points of an object in a picture, one after another."""

# Dims: B = 1 row, L tokens, H hidden, K numbers of a place or size, F features of them, V bins.
from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.activations import ACT2FN

from sightline.models.ports.moondream.config import MoondreamRegionConfig
from sightline.models.ports.moondream.model import MoondreamForConditionalGeneration

MOST = 50  # objects, as the authors' code has it
DETECT, POINT = "detect", "point"


@dataclass(frozen=True)
class Box:
    """Where an object is, as fractions of the picture's width and height; it may reach out of the picture."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclass(frozen=True)
class Point:
    """A place in a picture, as fractions of its width and height."""

    x: float
    y: float


class RegionDecoder(nn.Module):
    """Two layers from a hidden state to scores of bins."""

    def __init__(self, hidden: int, inner: int, bins: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, inner)
        self.act = ACT2FN["gelu_pytorch_tanh"]
        self.fc2 = nn.Linear(inner, bins)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(hidden)))


class MoondreamRegion(nn.Module):
    """Places and sizes as embeddings, and hidden states as places and sizes.

    Numbers become waves: the cosine and sine of 2 pi times the numbers' products with a table.
    """

    def __init__(self, config: MoondreamRegionConfig) -> None:
        super().__init__()
        hidden, inner = config.text_config.hidden_size, config.region_size
        self.coord_features = nn.Parameter(torch.empty(1, config.coordinate_features // 2))
        self.size_features = nn.Parameter(torch.empty(2, config.size_features // 2))
        self.coord_encoder = nn.Linear(config.coordinate_features, hidden)
        self.size_encoder = nn.Linear(config.size_features, hidden)
        self.coord_decoder = RegionDecoder(hidden, inner, config.bins)
        self.size_decoder = RegionDecoder(hidden, inner, 2 * config.bins)
        self.bins, self.log_sizes = config.bins, config.log_sizes

    def place(self, hidden_H: Tensor) -> float:
        """The likeliest coordinate, a fraction of the picture's side."""
        return int(self.coord_decoder(hidden_H).argmax()) / self.bins

    def size(self, hidden_H: Tensor) -> tuple[float, float]:
        """The likeliest width and height, fractions of the picture's sides."""
        wide, high = self.size_decoder(hidden_H).unflatten(-1, (2, self.bins)).argmax(-1).tolist()
        return self._side(wide), self._side(high)

    def embed_place(self, place: float) -> Tensor:
        """A coordinate as the decoder reads it, (H,)."""
        return self.coord_encoder(_waves(self.coord_features, [place]))

    def embed_size(self, size: tuple[float, float]) -> Tensor:
        """Width and height as the decoder reads them, (H,)."""
        return self.size_encoder(_waves(self.size_features, [*size]))

    def _side(self, index: int) -> float:
        return 2 ** (10 * index / (self.bins - 1) - 10) if self.log_sizes else index / self.bins


def _waves(table_KF: Tensor, numbers: list[float]) -> Tensor:
    wave_F = 2 * math.pi * table_KF.new_tensor(numbers) @ table_KF
    return torch.cat([wave_F.cos(), wave_F.sin()])


class MoondreamRegionForConditionalGeneration(MoondreamForConditionalGeneration):
    """moondream2 of 2025 with its heads for words and for regions; no loss reaches the latter, which is frozen."""

    config_class = MoondreamRegionConfig
    _supports_flash_attn = False  # knows no tokens that look ahead

    def __init__(self, config: MoondreamRegionConfig) -> None:
        super().__init__(config)
        self.region = MoondreamRegion(config).requires_grad_(False)
        self.post_init()

    def train(self, mode: bool = True) -> MoondreamRegionForConditionalGeneration:
        """As torch's; the region head stays frozen, which transformers (5.23) thaws where it loads weights."""
        self.region.requires_grad_(False)
        return super().train(mode)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, MoondreamRegion):
            nn.init.normal_(module.coord_features)
            nn.init.normal_(module.size_features)

    @staticmethod
    def create_masks_for_generate(attention_mask: Tensor | None = None, **_: Any) -> Tensor | None:
        """The mask as it is, also for caches of a fixed size: the model makes its own where an image is (5.23)."""
        return attention_mask

    def detect(self, image: Any, name: str, processor: Any) -> list[Box]:
        """Boxes of all objects in a picture that `name` describes, at most 50."""
        found = _found(self, processor.region_inputs(image, name, DETECT), sized=True)
        return [Box(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in found]

    def point(self, image: Any, name: str, processor: Any) -> list[Point]:
        """A place on each object in a picture that `name` describes, at most 50."""
        return [Point(x, y) for (x, y), _ in _found(self, processor.region_inputs(image, name, POINT), sized=False)]


class _Reading:
    """A prompt that the decoder has read, and goes on from with embeddings, one at a time."""

    def __init__(self, model: MoondreamRegionForConditionalGeneration, inputs: dict[str, Any]) -> None:
        self.model = model
        self.cache = DynamicCache(config=model.config.text_config)
        with self._before_norm() as seen:
            output = model.model(**inputs, past_key_values=self.cache, use_cache=True)
        self._keep(seen, output)

    def read(self, embedding_H: Tensor) -> None:
        """Goes on by one embedding."""
        with self._before_norm() as seen:
            output = self.model.model.language_model(
                inputs_embeds=embedding_H[None, None], past_key_values=self.cache, use_cache=True
            )
        self._keep(seen, output)

    def _keep(self, seen: list[Tensor], output: Any) -> None:
        self.hidden_H = seen[0][0, -1]  # before the last norm, which the region head knows
        token = int(self.model.lm_head(output.last_hidden_state[0, -1]).argmax())
        self.ended = token == self.model.config.text_config.eos_token_id

    @contextmanager
    def _before_norm(self) -> Iterator[list[Tensor]]:
        seen: list[Tensor] = []
        norm = self.model.model.language_model.final_layernorm
        hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            yield seen
        finally:
            hook.remove()


@torch.inference_mode()
def _found(
    model: MoondreamRegionForConditionalGeneration, inputs: dict[str, Any], sized: bool
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Centre and size of each object; without sizes those are 0."""
    region, reading = model.region, _Reading(model, inputs)
    found: list[tuple[tuple[float, float], tuple[float, float]]] = []
    while not reading.ended and len(found) < MOST:
        x = region.place(reading.hidden_H)
        reading.read(region.embed_place(x))
        y = region.place(reading.hidden_H)
        reading.read(region.embed_place(y))
        size = (0.0, 0.0)
        if sized:
            size = region.size(reading.hidden_H)
            reading.read(region.embed_size(size))
        found.append(((x, y), size))
    return found
