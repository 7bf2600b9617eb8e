"""IPOT against the exact solution of the same transport problem, and its marginals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from sightline.models.vilt.alignment import cosine_cost, ipot, transport_cost


def exact_cost(cost: np.ndarray) -> float:
    """The least cost of carrying equal weights of rows to equal weights of columns."""
    rows, columns = cost.shape
    of_row = np.kron(np.eye(rows), np.ones(columns))
    of_column = np.kron(np.ones(rows), np.eye(columns))
    weights = np.concatenate([np.full(rows, 1 / rows), np.full(columns, 1 / columns)])
    return float(linprog(cost.ravel(), A_eq=np.concatenate([of_row, of_column]), b_eq=weights).fun)


def cosine_costs(words: int, patches: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    states = [torch.randn(1, count, 16, generator=generator) for count in (words, patches)]
    return cosine_cost(*states)


@pytest.mark.parametrize(("words", "patches"), [(2, 3), (4, 4), (3, 9), (6, 16), (8, 49)])
@pytest.mark.parametrize("seed", range(5))
def test_fifty_iterations_come_within_a_hundredth_of_the_exact_cost(words, patches, seed):
    cost = cosine_costs(words, patches, seed)
    plan = ipot(cost, torch.ones(1, words), torch.ones(1, patches))
    assert float(transport_cost(cost, plan)) == pytest.approx(exact_cost(cost[0].numpy()), abs=1e-2)


@pytest.mark.parametrize(("words", "patches"), [(2, 3), (6, 16), (8, 49)])
def test_the_plan_carries_all_weights(words, patches):
    cost = cosine_costs(words, patches, 0)
    plan = ipot(cost, torch.ones(1, words), torch.ones(1, patches))[0]
    assert bool((plan >= 0).all())
    torch.testing.assert_close(plan.sum(0), torch.full((patches,), 1 / patches), atol=1e-6, rtol=0)
    torch.testing.assert_close(plan.sum(1), torch.full((words,), 1 / words), atol=1e-2, rtol=0)


def test_the_cheap_corner_takes_all_where_one_word_meets_one_patch():
    """Two words and two patches, cost 0 on the diagonal and 1 off it: half of the weight each, at no cost."""
    cost = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    plan = ipot(cost, torch.ones(1, 2), torch.ones(1, 2))
    torch.testing.assert_close(plan, torch.tensor([[[0.5, 0.0], [0.0, 0.5]]]), atol=1e-5, rtol=0)


def test_masked_words_and_patches_carry_nothing_and_change_nothing():
    cost = cosine_costs(5, 7, 1)
    words, patches = torch.tensor([[0, 1, 1, 1, 0]]), torch.tensor([[0, 1, 1, 1, 1, 1, 0]])
    plan = ipot(cost, words, patches)
    alone = ipot(cost[:, 1:4, 1:6], torch.ones(1, 3), torch.ones(1, 5))
    torch.testing.assert_close(plan[:, 1:4, 1:6], alone)
    assert float(plan.sum()) == pytest.approx(1) and float(alone.sum()) == pytest.approx(1)


def test_the_gradient_is_the_plan():
    cost = cosine_costs(3, 4, 2).requires_grad_()
    plan = ipot(cost, torch.ones(1, 3), torch.ones(1, 4))
    (gradient,) = torch.autograd.grad(transport_cost(cost, plan).sum(), cost)
    assert torch.equal(gradient, plan)


def test_half_precision_is_raised_to_fp32():
    cost = cosine_costs(3, 4, 2).bfloat16()
    assert ipot(cost, torch.ones(1, 3), torch.ones(1, 4)).dtype == torch.float32
