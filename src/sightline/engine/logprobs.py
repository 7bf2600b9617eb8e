"""Compute log-probabilities of labels from hidden states in chunks, so that full logits never exist."""

# Dims: E scored edges, H hidden, V vocabulary, C edges of one chunk.
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_BYTES = 64 * 2**20  # of fp32 logits; above it logits are recomputed in the backward pass, chunk by chunk


class EdgeScores(NamedTuple):
    """What the head says of each edge; only `logprob_E` carries a gradient.

    Attributes:
        logprob_E: log-probability of the label.
        entropy_E: entropy of the next-token distribution, nats.
        mean_logit_E: mean of the logits over the vocabulary.
        log_sum_square_E: log of the sum of squared probabilities.
        is_top1_E: whether the label is the most likely token.
    """

    logprob_E: Tensor
    entropy_E: Tensor
    mean_logit_E: Tensor
    log_sum_square_E: Tensor
    is_top1_E: Tensor


class LogitRule(NamedTuple):
    """What becomes of a head's output: times `scale`, then within `softcap` by `softcap * tanh(logits / softcap)`.

    Scales are those of Cohere, Granite, MiniCPM3 and Falcon-H1, the cap is Gemma 2's (arXiv 2408.00118, section 2).
    """

    scale: float = 1.0
    softcap: float | None = None

    def applied(self, logits: Tensor) -> Tensor:
        """Logits of the model from the head's output."""
        logits = logits if self.scale == 1.0 else logits * self.scale
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


def score_edges(
    hidden_EH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, label_E: Tensor, rule: LogitRule | None = None
) -> EdgeScores:
    """Scores of `label_E` under `softmax(rule(hidden @ weight.T + bias))`, in fp32."""
    rule = rule or LogitRule()
    chunk = max(1, CHUNK_BYTES // (4 * weight_VH.shape[0]))
    if len(label_E) <= chunk:
        return _score_chunk(hidden_EH, weight_VH, bias_V, label_E, rule)
    pieces = [
        checkpoint(
            _score_chunk,
            hidden_EH[start : start + chunk],
            weight_VH,
            bias_V,
            label_E[start : start + chunk],
            rule,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for start in range(0, len(label_E), chunk)
    ]
    return EdgeScores(*(torch.cat(parts) for parts in zip(*pieces, strict=True)))


def _score_chunk(
    hidden_CH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, label_C: Tensor, rule: LogitRule
) -> EdgeScores:
    logits_CV = rule.applied(torch.nn.functional.linear(hidden_CH, weight_VH, bias_V).float())
    log_normaliser_C = logits_CV.logsumexp(dim=-1)
    logprob_C = logits_CV.gather(-1, label_C[:, None]).squeeze(-1) - log_normaliser_C
    with torch.no_grad():
        probability_CV = (logits_CV - log_normaliser_C[:, None]).exp_()
        entropy_C = log_normaliser_C - (probability_CV * logits_CV).sum(-1)
        log_sum_square_C = probability_CV.square_().sum(-1).log()
        is_top1_C = logits_CV.argmax(-1) == label_C
        mean_logit_C = logits_CV.mean(-1)
    return EdgeScores(logprob_C, entropy_C, mean_logit_C, log_sum_square_C, is_top1_C)
