"""Edge scores against the plain formulas, chunked and whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sightline.engine import logprobs
from sightline.engine.logprobs import LogitRule, score_edges


def head(edges: int = 11, hidden: int = 8, vocabulary: int = 17) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return (
        torch.randn(edges, hidden, dtype=torch.float64, requires_grad=True),
        torch.randn(vocabulary, hidden, dtype=torch.float64, requires_grad=True),
        torch.randn(vocabulary, dtype=torch.float64, requires_grad=True),
        torch.randint(vocabulary, (edges,)),
    )


def test_scores_equal_the_plain_formulas() -> None:
    hidden, weight, bias, label = head()
    scores = score_edges(hidden, weight, bias, label)
    logits = hidden @ weight.T + bias
    distribution = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(scores.logprob_E.double(), distribution.log_prob(label), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores.entropy_E.double(), distribution.entropy(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores.mean_logit_E.double(), logits.mean(-1), rtol=1e-5, atol=1e-5)
    squares = distribution.probs.square().sum(-1).log()
    torch.testing.assert_close(scores.log_sum_square_E.double(), squares, rtol=1e-5, atol=1e-5)
    assert scores.is_top1_E.tolist() == (logits.argmax(-1) == label).tolist()


def test_only_the_log_probability_carries_a_gradient() -> None:
    scores = score_edges(*head())
    assert scores.logprob_E.requires_grad
    assert not any(part.requires_grad for part in scores[1:])


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_chunks_change_neither_scores_nor_gradients(monkeypatch: pytest.MonkeyPatch, softcap: float | None) -> None:
    whole_inputs, chunked_inputs = head(), head()
    whole = score_edges(*whole_inputs, rule=LogitRule(softcap=softcap))
    monkeypatch.setattr(logprobs, "CHUNK_BYTES", 4 * 17 * 3)  # three edges a chunk
    chunked = score_edges(*chunked_inputs, rule=LogitRule(softcap=softcap))
    for left, right in zip(whole, chunked, strict=True):
        torch.testing.assert_close(left, right)
    weights = torch.linspace(-1, 1, 11)
    (whole.logprob_E * weights).sum().backward()
    (chunked.logprob_E * weights).sum().backward()
    for left, right in zip(whole_inputs[:3], chunked_inputs[:3], strict=True):
        torch.testing.assert_close(left.grad, right.grad)
