"""Test on the user's model and prompts that decoding on a forest equals the model's own forward."""

# Dims: N prompts, T decoded tokens, V vocabulary.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sightline.engine.decode import Prompts, decode
from sightline.engine.selftest import FLOAT_TOLERANCE, NOISE_MULTIPLE, RouteChoice
from sightline.types import FamilyFacts

TOKENS = 3  # the first comes from reading, the others from decoding

PlainLogits = Callable[[int, list[int], bool], Tensor]


def choose_decoding(
    model: Any, facts: FamilyFacts | None, read: Callable[[], Prompts], plain: PlainLogits
) -> RouteChoice:
    """`mask` where log-probabilities of the first tokens after the prompts match, else `plain`.

    Args:
        read: the prompts to test on; called only where nothing else speaks against the mask route.
        plain: from the number of a prompt and the tokens decoded after it the logits (T, V) that the model's own
            forward has for these tokens; with padding behind them if the third argument says so, which changes
            nothing but rounding.
    """
    obstacle = _obstacle(model, facts)
    if obstacle is not None or facts is None:
        return RouteChoice("plain", obstacle or "")
    try:
        error, noise = _errors(model, facts, read(), plain)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as failure:
        return RouteChoice("plain", f"decoding on a forest failed on this model: {type(failure).__name__}: {failure}")
    tolerance = max(FLOAT_TOLERANCE, NOISE_MULTIPLE * noise)
    measured = f"largest log-probability difference {error:.1e}, tolerance {tolerance:.1e}"
    if error <= tolerance:
        reason = f"decoding on a forest matches the model's own forward ({measured})"
        return RouteChoice("mask", reason, error, tolerance)
    reason = f"decoding on a forest does not match the model's own forward ({measured})"
    return RouteChoice("plain", reason, error, tolerance)


def _obstacle(model: Any, facts: FamilyFacts | None) -> str | None:
    """Why decoding on a forest is out of the question before any comparison, or None."""
    if facts is None:
        return f"the family {model.config.model_type} is not in Sightline's table of model families"
    if "mask" not in facts.routes:
        return f"a mask cannot separate the branches of {facts.name}"
    attention = str(model.config.get_text_config()._attn_implementation)
    dense = not attention.startswith(("flash", "flex"))
    return None if dense else f"attn_implementation {attention} takes no 4-D mask; sdpa or eager do"


@torch.inference_mode()
def _errors(model: Any, facts: FamilyFacts, prompts: Prompts, plain: PlainLogits) -> tuple[float, float]:
    """Largest difference of a log-probability between forest and plain, and between plain with and without padding."""
    forest = prompts.forest
    count = len(forest.path_NL)
    # Which tokens follow does not matter. A prompt's last one is text; what an untrained model says may be images.
    end_N = forest.path_NL.gather(1, (forest.path_NL >= 0).sum(1, keepdim=True) - 1).squeeze(1)
    last_N = forest.ids_RL.flatten()[end_N]
    seen: list[list[Tensor]] = [[] for _ in range(count)]

    def choose(active_A: Tensor, logits_AV: Tensor) -> Tensor:
        for number, logits_V in zip(active_A.tolist(), logits_AV, strict=True):
            seen[number].append(logits_V)
        return last_N[active_A]

    grown = decode(model, facts, prompts, choose, (), [TOKENS] * count)
    error = noise = 0.0
    for number, tokens in enumerate(grown):
        alone_TV = plain(number, tokens, False).float().log_softmax(-1)
        padded_TV = plain(number, tokens, True).float().log_softmax(-1)
        error = max(error, float((torch.stack(seen[number]).log_softmax(-1) - alone_TV).abs().max()))
        noise = max(noise, float((padded_TV - alone_TV).abs().max()))
    return error, noise
