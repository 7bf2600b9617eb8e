"""Answer many prompts at once: their common part is read once, and each answer grows its own branch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from sightline.engine.forest import Forest
from sightline.engine.logprobs import LogitRule
from sightline.engine.masks import step_masks
from sightline.engine.routes import forest_positions, loss_rule, read_forest, read_step
from sightline.types import FamilyFacts, Sampling

# Dims: N prompts, A prompts that still grow, L tokens of a prompt, V vocabulary.


class NextTokens:
    """The next token of each prompt, as transformers' `generate` finds it: the likeliest, or a drawn one.

    Args:
        samplings: how the tokens of each prompt are drawn, None for the likeliest. A prompt's draws depend on its own
            seed alone, not on the prompts beside it.
        penalty: tokens of the prompt and of the answer so far have positive logits divided by it and negative ones
            multiplied (Keskar et al. 2019, arXiv 1909.05858, section 4.1); 1 changes nothing.
        forbidden: tokens that are never next.
    """

    def __init__(
        self,
        forest: Forest,
        samplings: Sequence[Sampling | None],
        penalty: float = 1.0,
        forbidden: Collection[int] = (),
    ) -> None:
        self.penalty = penalty
        self.forbidden = sorted(forbidden)
        self.forest = forest
        self.said_NV: Tensor | None = None
        self.samplings = samplings
        self._random = [one and np.random.default_rng(one.seed) for one in samplings]

    def __call__(self, active_A: Tensor, logits_AV: Tensor) -> Tensor:
        if self.forbidden:
            never_F = torch.tensor(self.forbidden, device=logits_AV.device)
            logits_AV = logits_AV.index_fill(-1, never_F, -torch.inf)
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


# Dims: R rows, L tokens of a row, N prompts, A prompts that still grow, Q branches of a row that grow (the most),
# K tokens kept of a row (L and what was decoded), P position axes (1, or 3 with M-RoPE), V vocabulary, H hidden.


Choose = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Prompts:
    """Prompts merged into a forest, with what the model needs to read it; `features_FH`, `image_inputs` and `rule` are
    those of `score_forest`."""

    forest: Forest
    features_FH: Tensor | None
    image_inputs: dict[str, Any]
    rule: LogitRule | None = None


@torch.inference_mode()
def decode(
    model: Any,
    facts: FamilyFacts,
    prompts: Prompts,
    choose: Choose,
    stop_ids: Collection[int],
    limits: Sequence[int],
) -> list[list[int]]:
    """The token ids that follow each prompt, up to and with its stop token or `limits[n]` tokens.

    The forest is read once into a cache. Every step adds one token per unfinished branch to the same rows: a branch
    sees its own path through the forest and its own tokens, by a mask, at its own positions.

    Args:
        choose: from the numbers of the prompts that still grow (A) and their logits (A, V, fp32), the next tokens (A).
    """
    cache = DynamicCache()  # without a config: whole layers even where a model has windows, which our masks cut
    positions = forest_positions(model, facts, prompts.forest, prompts.image_inputs)
    hidden_RLH = read_forest(model, facts, prompts.forest, prompts.features_FH, positions, cache)
    branches = _Branches(model, facts, prompts.forest, positions)
    hidden_AH = hidden_RLH.flatten(0, 1)[branches.last_N]
    grown: list[list[int]] = [[] for _ in limits]
    active_A = torch.arange(len(limits), device=hidden_AH.device)
    while True:
        token_A = choose(active_A, _logits(model, hidden_AH, prompts.rule or loss_rule(model)))
        goes_on = []
        for number, token in zip(active_A.tolist(), token_A.tolist(), strict=True):
            grown[number].append(token)
            goes_on.append(token not in stop_ids and len(grown[number]) < limits[number])
        if not any(goes_on):
            return grown
        on_A = torch.tensor(goes_on, device=active_A.device)
        active_A, token_A = active_A[on_A], token_A[on_A]
        hidden_AH = branches.grow(cache, active_A, token_A)


class _Branches:
    """Which kept tokens each prompt's branch sees, and where its next token stands."""

    def __init__(self, model: Any, facts: FamilyFacts, forest: Forest, positions: Tensor) -> None:
        self.model = model
        self.facts = facts
        rows, length = forest.ids_RL.shape
        inside_NL = forest.path_NL >= 0
        path_NL = forest.path_NL.clamp(min=0)
        self.length_N = inside_NL.sum(1)
        self.last_N = path_NL.gather(1, self.length_N[:, None] - 1).squeeze(1)
        self.row_N = self.last_N // length
        self.sees_NK = torch.zeros(len(path_NL), length, dtype=torch.bool, device=path_NL.device)
        number_NL, _ = torch.nonzero(inside_NL, as_tuple=True)
        self.sees_NK[number_NL, path_NL[inside_NL] % length] = True
        self.depth_RK = forest.depth_RL
        self.axes = positions.dim() - 1  # 1: (R, L); 2: (3, R, L)
        flat_PT = positions.reshape(-1, rows * length)
        self.next_N = flat_PT[:, path_NL].masked_fill(~inside_NL, -1).amax(dim=(0, 2)) + 1
        self.steps = 0

    def grow(self, cache: Any, active_A: Tensor, token_A: Tensor) -> Tensor:
        """Hidden states (A, H) of one new token on each active branch."""
        row_A = self._keep_rows(cache, active_A)
        slot_A = _rank_in_row(row_A)
        R, Q = len(self.depth_RK), int(slot_A.max()) + 1
        # A row with fewer branches is filled up; nobody sees the filling, whose own hidden states are thrown away.
        own_NQ = torch.zeros(len(self.sees_NK), Q, dtype=torch.bool, device=row_A.device)
        own_NQ[active_A, slot_A] = True
        self.sees_NK = torch.cat([self.sees_NK, own_NQ], dim=1)
        depth_A = self.length_N[active_A] + self.steps
        depth_RQ = _spread(depth_A, row_A, slot_A, R, Q)
        self.depth_RK = torch.cat([self.depth_RK, depth_RQ], dim=1)
        position_RQ = _spread(self.next_N[active_A] + self.steps, row_A, slot_A, R, Q)
        allowed_RQK = self.sees_NK.new_zeros(R, Q, self.sees_NK.shape[1])
        allowed_RQK[row_A, slot_A] = self.sees_NK[active_A]
        text_config = self.model.config.get_text_config()
        dtype = self.model.get_input_embeddings().weight.dtype
        hidden_RQH = read_step(
            self.model,
            self.facts,
            _spread(token_A, row_A, slot_A, R, Q),
            position_RQ if self.axes == 1 else position_RQ.expand(3, R, Q),
            step_masks(allowed_RQK, depth_RQ, self.depth_RK, text_config, dtype),
            cache,
        )
        self.steps += 1
        hidden_AH: Tensor = hidden_RQH[row_A, slot_A]
        return hidden_AH

    def _keep_rows(self, cache: Any, active_A: Tensor) -> Tensor:
        """Rows of the active branches, (A,), once rows without any were dropped from the cache."""
        kept, row_A = self.row_N[active_A].unique(return_inverse=True)
        if len(kept) < len(self.depth_RK):
            cache.batch_select_indices(kept)
            self.depth_RK = self.depth_RK[kept]
            self.row_N[active_A] = row_A
        return row_A


def _rank_in_row(row_A: Tensor) -> Tensor:
    """For each branch how many before it stand in the same row."""
    same_AA = row_A[:, None] == row_A[None, :]
    return same_AA.tril(-1).sum(1)


def _spread(value_A: Tensor, row_A: Tensor, slot_A: Tensor, R: int, Q: int) -> Tensor:
    """Values of the branches in their rows, (R, Q), 0 elsewhere."""
    value_RQ = value_A.new_zeros(R, Q)
    value_RQ[row_A, slot_A] = value_A
    return value_RQ


def _logits(model: Any, hidden_AH: Tensor, rule: LogitRule) -> Tensor:
    return rule.applied(model.get_output_embeddings()(hidden_AH).float())
