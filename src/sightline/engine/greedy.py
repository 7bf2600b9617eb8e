"""Choose each next token greedily, with the penalty that a model's generation settings put on repetition."""

# Dims: N prompts, A prompts that still grow, L tokens of a prompt, V vocabulary.
from __future__ import annotations

import torch
from torch import Tensor

from sightline.engine.forest import Forest


class Greedy:
    """The most likely token of each prompt, as transformers' `generate` finds it without sampling.

    Args:
        penalty: tokens of the prompt and of the answer so far have positive logits divided by it and negative ones
            multiplied (Keskar et al. 2019, arXiv 1909.05858, section 4.1); 1 changes nothing.
    """

    def __init__(self, forest: Forest, penalty: float = 1.0) -> None:
        self.penalty = penalty
        self.forest = forest
        self.said_NV: Tensor | None = None

    def __call__(self, active_A: Tensor, logits_AV: Tensor) -> Tensor:
        if self.penalty == 1.0:
            return logits_AV.argmax(-1)
        if self.said_NV is None:
            self.said_NV = _said(self.forest, logits_AV.shape[-1])
        softened_AV = torch.where(logits_AV < 0, logits_AV * self.penalty, logits_AV / self.penalty)
        token_A = torch.where(self.said_NV[active_A], softened_AV, logits_AV).argmax(-1)
        self.said_NV[active_A, token_A] = True
        return token_A


def _said(forest: Forest, vocabulary: int) -> Tensor:
    """Which tokens each prompt holds, (N, V)."""
    inside_NL = forest.path_NL >= 0
    number_NL, _ = torch.nonzero(inside_NL, as_tuple=True)
    said_NV = torch.zeros(len(inside_NL), vocabulary, dtype=torch.bool, device=inside_NL.device)
    said_NV[number_NL, forest.ids_RL.flatten()[forest.path_NL[inside_NL]]] = True
    return said_NV
