"""Choose a route on the user's own model and rows: the fastest that matches plain within tolerance, and say why."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sightline.engine.forest import build_forest
from sightline.engine.routes import plain_inputs, score_plain, score_sequences
from sightline.errors import ConfigError
from sightline.types import FamilyFacts, Sequence

SHARE_CHOICES = ("auto", "mask", "plain")
FLOAT_TOLERANCE = 1e-4  # log-probability per token, fp32; a broken mask is off by 0.1 and more
NOISE_MULTIPLE = 4.0  # of the difference that plain itself shows between two batchings of the same rows


@dataclass(frozen=True)
class RouteChoice:
    """The route that a run uses, with what the self-test measured.

    Attributes:
        route: `mask` or `plain`.
        reason: one sentence for the user.
        error: largest difference of a token's log-probability between the routes; None if nothing was compared.
        tolerance: what `error` was held against.
    """

    route: str
    reason: str
    error: float | None = None
    tolerance: float | None = None


def choose_route(
    model: Any,
    facts: FamilyFacts | None,
    sequences: Many[Sequence],
    image_inputs: dict[str, Any],
    pad_id: int,
    share: str = "auto",
    counts: Many[int] = (),
    max_row: int | None = None,
) -> RouteChoice:
    """The route for `model`, tested on `sequences` (a few rows of the user's data) in rows of up to `max_row` tokens.

    Raises:
        ConfigError: `share` is unknown, or is `mask` and the mask route is not right for this model.
    """
    if share not in SHARE_CHOICES:
        raise ConfigError(f"share: expected one of {', '.join(SHARE_CHOICES)}; got '{share}'.")
    obstacle = "share is set to plain" if share == "plain" else _obstacle(model, facts)
    if obstacle is None and facts is not None:
        choice = _compare(model, facts, sequences, image_inputs, pad_id, counts, max_row)
    else:
        choice = RouteChoice("plain", obstacle or "")
    if share == "mask" and choice.route != "mask":
        raise ConfigError(
            f"share is set to mask, but the mask route is not right here: {choice.reason}. Set share to auto or plain."
        )
    return possible(choice, facts)


def possible(choice: RouteChoice, facts: FamilyFacts | None) -> RouteChoice:
    """The choice, if the family can train on its route.

    Raises:
        ConfigError: it cannot.
    """
    if facts is not None and choice.route not in facts.routes:
        raise ConfigError(
            f"{facts.name} trains on the route {facts.routes[0]} only ({facts.note}), but {choice.reason}. Change "
            f"that, or take another model."
        )
    return choice


def _obstacle(model: Any, facts: FamilyFacts | None) -> str | None:
    """Why the mask route is out of the question before any comparison, or None."""
    if facts is None:
        return f"the family {model.config.model_type} is not in Sightline's table of model families"
    if "mask" not in facts.routes:
        return f"the family {facts.name} cannot separate branches by a mask"
    attention = str(model.config.get_text_config()._attn_implementation)
    if "flash" in attention:
        return f"attn_implementation {attention} takes no 4-D mask; sdpa or eager do"
    norms = [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    ]
    if norms:
        return f"{norms[0]} normalises over the batch, so an image's features depend on how often it is repeated"
    return None


def _compare(
    model: Any,
    facts: FamilyFacts,
    sequences: Many[Sequence],
    image_inputs: dict[str, Any],
    pad_id: int,
    counts: Many[int],
    max_row: int | None,
) -> RouteChoice:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            error, noise = _errors(model, facts, sequences, image_inputs, pad_id, counts, max_row)
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as failure:
        return RouteChoice("plain", f"the mask route failed on this model: {type(failure).__name__}: {failure}")
    finally:
        model.train(was_training)
    tolerance = max(FLOAT_TOLERANCE, NOISE_MULTIPLE * noise)
    measured = f"largest log-probability difference {error:.1e}, tolerance {tolerance:.1e}"
    if error <= tolerance:
        return RouteChoice("mask", f"the forest matches plain rows ({measured})", error, tolerance)
    return RouteChoice("plain", f"the forest does not match plain rows ({measured})", error, tolerance)


def _errors(
    model: Any,
    facts: FamilyFacts,
    sequences: Many[Sequence],
    image_inputs: dict[str, Any],
    pad_id: int,
    counts: Many[int],
    max_row: int | None,
) -> tuple[float, float]:
    """Largest difference between forest and plain rows, and between plain rows batched and alone."""
    device = model.get_input_embeddings().weight.device
    image_inputs = {name: value.to(device) for name, value in image_inputs.items()}
    forest = build_forest(sequences, pad_id, max_row=max_row, both_ways=facts.both_ways)
    shared = score_sequences(model, facts, forest.to(device), image_inputs)

    def score_rows(batches: Many[Many[Sequence]]) -> list[Tensor]:
        scores: list[Tensor] = []
        for batch in batches:
            inputs = plain_inputs(batch, image_inputs, pad_id, counts, facts)
            scores += score_plain(model, {name: value.to(device) for name, value in inputs.items()})
        return scores

    plain, alone = score_rows([sequences]), score_rows([[sequence] for sequence in sequences])
    return _largest_difference(shared, plain), _largest_difference(plain, alone)


def _largest_difference(left: list[Tensor], right: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(left, right, strict=True))
