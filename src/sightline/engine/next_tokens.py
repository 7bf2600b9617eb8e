"""Choose each next token, the likeliest or a drawn one, with the penalty that generation settings put on repetition."""

# Dims: N prompts, A prompts that still grow, L tokens of a prompt, V vocabulary.
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sightline.engine.forest import Forest
from sightline.types import Sampling


class NextTokens:
    """The next token of each prompt, as transformers' `generate` finds it: the likeliest, or a drawn one.

    Args:
        samplings: how the tokens of each prompt are drawn, None for the likeliest. A prompt's draws depend on its own
            seed alone, not on the prompts beside it.
        penalty: tokens of the prompt and of the answer so far have positive logits divided by it and negative ones
            multiplied (Keskar et al. 2019, arXiv 1909.05858, section 4.1); 1 changes nothing.
    """

    def __init__(self, forest: Forest, samplings: Sequence[Sampling | None], penalty: float = 1.0) -> None:
        self.penalty = penalty
        self.forest = forest
        self.said_NV: Tensor | None = None
        self.samplings = samplings
        self._random = [one and np.random.default_rng(one.seed) for one in samplings]

    def __call__(self, active_A: Tensor, logits_AV: Tensor) -> Tensor:
        if self.penalty == 1.0:
            return self._choose(active_A, logits_AV)
        if self.said_NV is None:
            self.said_NV = _said(self.forest, logits_AV.shape[-1])
        softened_AV = torch.where(logits_AV < 0, logits_AV * self.penalty, logits_AV / self.penalty)
        token_A = self._choose(active_A, torch.where(self.said_NV[active_A], softened_AV, logits_AV))
        self.said_NV[active_A, token_A] = True
        return token_A

    def _choose(self, active_A: Tensor, logits_AV: Tensor) -> Tensor:
        token_A = logits_AV.argmax(-1)
        if not any(self.samplings):
            return token_A
        for place, number in enumerate(active_A.tolist()):
            sampling, random = self.samplings[number], self._random[number]
            if sampling is not None and random is not None:
                token_A[place] = _draw(logits_AV[place], sampling.temperature, random)
        return token_A


def _draw(logits_V: Tensor, temperature: float, random: np.random.Generator) -> Tensor:
    """A token by its share of the softmax; on the CPU, where sums do not depend on their order of arrival."""
    until_V = torch.softmax(logits_V.cpu().double() / temperature, dim=-1).cumsum(-1)
    return torch.searchsorted(until_V, until_V[-1] * random.random(), right=True).clamp(max=len(until_V) - 1)


def _said(forest: Forest, vocabulary: int) -> Tensor:
    """Which tokens each prompt holds, (N, V)."""
    inside_NL = forest.path_NL >= 0
    number_NL, _ = torch.nonzero(inside_NL, as_tuple=True)
    said_NV = torch.zeros(len(inside_NL), vocabulary, dtype=torch.bool, device=inside_NL.device)
    said_NV[number_NL, forest.ids_RL.flatten()[forest.path_NL[inside_NL]]] = True
    return said_NV
