"""Optimal transport between words and patches by IPOT: a plan that moves one onto the other at little cost."""

from __future__ import annotations

import torch
from torch import Tensor

# Dims: B pairs, W words, P patches.


def cosine_cost(words_BWH: Tensor, patches_BPH: Tensor) -> Tensor:
    """Cost of moving a word to a patch, 1 - their cosine, in fp32: (B, W, P)."""
    words = torch.nn.functional.normalize(words_BWH.float(), dim=-1)
    patches = torch.nn.functional.normalize(patches_BPH.float(), dim=-1)
    return 1 - words @ patches.transpose(1, 2)


@torch.no_grad()
def ipot(cost_BWP: Tensor, words_BW: Tensor, patches_BP: Tensor, beta: float = 0.5, iterations: int = 50) -> Tensor:
    """The plan (B, W, P) that carries equal weights of the words to equal weights of the patches; fp32, no gradient.

    Each plan sums to 1. Sums over words are exact (1 / number of patches), sums over patches near 1 / number of words:
    the nearer, the more iterations.

    Args:
        words_BW: 1 where a word counts, else 0; a pair needs one word and one patch.
        patches_BP: the same for patches.
        beta: how soft each step is; smaller is sharper, and needs fewer iterations until numbers underflow.

    Source: Xie et al. 2018, "A fast proximal point method for computing exact Wasserstein distance", algorithm 1;
    beta and iterations as in ViLT.
    """
    cost = cost_BWP.float()
    words_BW1, patches_B1P = words_BW.float().unsqueeze(2), patches_BP.float().unsqueeze(1)
    word_weight = words_BW1 / words_BW1.sum(dim=1, keepdim=True)
    patch_weight = patches_B1P / patches_B1P.sum(dim=2, keepdim=True)
    joint = words_BW1 * patches_B1P
    kernel = torch.exp(-cost / beta) * joint
    plan, patch_scale = joint, patch_weight
    for _ in range(iterations):
        proposal = kernel * plan
        word_scale = _share(word_weight, (proposal * patch_scale).sum(dim=2, keepdim=True))
        patch_scale = _share(patch_weight, (proposal * word_scale).sum(dim=1, keepdim=True))
        plan = word_scale * proposal * patch_scale
    return plan


def _share(wanted: Tensor, found: Tensor) -> Tensor:
    """`wanted / found`, and 0 where nothing is wanted."""
    return wanted / found.clamp_min(torch.finfo(found.dtype).tiny)


def transport_cost(cost_BWP: Tensor, plan_BWP: Tensor) -> Tensor:
    """What each plan costs: (B,). The gradient flows through the cost alone."""
    return (cost_BWP * plan_BWP).sum(dim=(1, 2))
