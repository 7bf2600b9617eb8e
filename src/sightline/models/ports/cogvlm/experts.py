"""Two experts in every layer: tokens of an image go through one set of weights, all others through the other."""

# Dims: R rows, L tokens of a row, T tokens of all rows, V tokens of images, W other tokens, H hidden.
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Runs:
    """The tokens of all rows in stretches that one expert reads, the experts by turns.

    Attributes:
        lengths: tokens of each stretch; they add up to all.
        vision_first: whether the first one is the vision expert's.
    """

    lengths: tuple[int, ...]
    vision_first: bool

    @property
    def has_vision(self) -> bool:
        return self.vision_first or len(self.lengths) > 1


def inner_tokens(types_RL: Tensor) -> Tensor:
    """Which tokens of images are not the last one of their image, (R, L), where `types_RL` is 1 for those of images.

    These are the vision expert's. The end of an image is read by the language expert (Wang et al. 2023, arXiv
    2311.03079, and THUDM/CogVLM's `get_expert_mask`).
    """
    is_image_RL = types_RL == 1
    inner_RL = torch.zeros_like(is_image_RL)
    inner_RL[:, :-1] = is_image_RL[:, :-1] & is_image_RL[:, 1:]
    return inner_RL


def find_runs(types_RL: Tensor | None, tokens: int) -> Runs:
    """The stretches of `tokens` tokens by their types; no types are those of text. Waits for the device once."""
    if types_RL is None:
        return Runs((tokens,), vision_first=False)
    is_vision_T = inner_tokens(types_RL).flatten()
    changes = torch.nonzero(is_vision_T[1:] != is_vision_T[:-1]).flatten() + 1
    *ends, first = torch.cat([changes, is_vision_T[:1].long()]).tolist()
    starts = [0, *ends]
    return Runs(tuple(end - start for start, end in zip(starts, [*ends, tokens], strict=True)), bool(first))


def by_expert(
    vision: Callable[[Tensor], Tensor], language: Callable[[Tensor], Tensor], hidden_RLH: Tensor, runs: Runs
) -> Tensor:
    """Each token's output by its own expert, in the tokens' order.

    Stretches are cut out and joined as they lie, forth and back, so no gradient is summed by index. Where gradients are
    wanted both experts are run, on no token at all if it must be: every process of a run has gradients of the same
    weights, whether or not its rows have images.
    """
    if not runs.has_vision and not torch.is_grad_enabled():
        return language(hidden_RLH)
    parts = hidden_RLH.flatten(0, 1).split(runs.lengths)
    seen, said = (parts[0::2], parts[1::2]) if runs.vision_first else (parts[1::2], parts[0::2])
    outputs = [_together(vision, seen, hidden_RLH), _together(language, said, hidden_RLH)]
    if not runs.vision_first:
        outputs.reverse()
    first, second = outputs[0].split(runs.lengths[0::2]), outputs[1].split(runs.lengths[1::2] or (0,))
    ordered = [part for pair in zip(first, second, strict=False) for part in pair] + list(first[len(second) :])
    return torch.cat(ordered).unflatten(0, hidden_RLH.shape[:2])


def _together(expert: Callable[[Tensor], Tensor], parts: tuple[Tensor, ...], hidden_RLH: Tensor) -> Tensor:
    return expert(torch.cat(parts) if parts else hidden_RLH.flatten(0, 1)[:0])
