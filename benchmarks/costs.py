"""The arithmetic limit of sharing: multiply-adds of a plain step over those of a step that computes all shared once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Costs:
    """Multiply-adds of one forward pass.

    Attributes:
        image: the tower and the projector over one image.
        token: the decoder's weights over one token.
        pair: attention between one token and one that it sees.
        head: the vocabulary projection of one token.
    """

    image: float
    token: float
    pair: float
    head: float


@dataclass(frozen=True)
class Example:
    """Tokens of one example: in all, of its image, and of its answer."""

    length: int
    image: int
    answer: int


def costs_of(model: Any) -> Costs:
    """Costs of a LLaVA-shaped model, from its parameter counts (a weight is one multiply-add per token)."""
    vision, text = model.config.vision_config, model.config.text_config
    patches = (vision.image_size // vision.patch_size) ** 2 + 1
    tower = _weights(model.model.vision_tower.encoder) * patches
    tower += 2 * vision.num_hidden_layers * vision.hidden_size * patches**2
    projector = _weights(model.model.multi_modal_projector) * (patches - 1)
    return Costs(
        image=tower + projector,
        token=_weights(model.model.language_model.layers),
        pair=2 * text.num_hidden_layers * text.hidden_size,
        head=text.vocab_size * text.hidden_size,
    )


def dpo_limits(
    model: Any,
    prompt: int,
    answer: float,
    padded: float,
    pairs: int,
    stored_references: bool = False,
    stored_features: bool = False,
) -> tuple[float, float]:
    """Limits of a DPO step with a reference model: against every position scored, and against labelled ones only.

    Answers have `answer` tokens on average and `padded` in TRL's rows. A training pass costs three forward passes, the
    reference one; TRL's chunked head projects once more in the backward pass. Stored references take away our
    reference's pass; with stored features we encode no image, and tower and projector are frozen in TRL's model too.
    """
    costs = costs_of(model)
    rows, length = 2 * pairs, prompt + padded
    decoder = pairs * costs.token * (prompt + 2 * answer)
    decoder += pairs * costs.pair * (_causal(prompt) + 2 * (answer * prompt + _causal(answer)))
    passes = 3 if stored_references else 3 + 1
    image = 0 if stored_features else passes * pairs * costs.image
    ours = image + passes * (decoder + 2 * pairs * costs.head * answer)
    plain = (3 + 1) * rows * (costs.token * length + costs.pair * _causal(length))
    plain += ((1 if stored_features else 3) + 1) * rows * costs.image
    return tuple((plain + (4 + 1) * rows * costs.head * scored) / ours for scored in (length, answer))


def projector_limit(model: Any, prompt: int, answer: int, epochs: int) -> float:
    """Limit of storing the tower's output while only the projector trains: encoded in each epoch over encoded once.

    Gradients pass through decoder and head to the projector, but their weights get none: two forward passes' worth.
    """
    costs = costs_of(model)
    length = prompt + answer
    projector = _weights(model.model.multi_modal_projector) * prompt
    tower = costs.image - projector
    rest = 3 * projector + 2 * (costs.token * length + costs.pair * _causal(length) + costs.head * answer)
    return epochs * (tower + rest) / (tower + epochs * rest)


def sft_limits(model: Any, prompt: int, branch: int, answer: int, branches: int) -> tuple[float, float]:
    """Limits of an SFT step over `branches` questions of `branch` tokens, `answer` of them scored, about one image.

    A training pass costs three forward passes; TRL's chunked head projects once more in the backward pass.
    """
    costs = costs_of(model)
    length = prompt + branch
    shared = costs.image + costs.token * (prompt + branches * branch)
    shared += costs.pair * (_causal(prompt) + branches * (branch * prompt + _causal(branch)))
    plain = branches * (costs.image + costs.token * length + costs.pair * _causal(length))
    ours = 3 * (shared + costs.head * branches * answer)
    return tuple((3 * plain + 4 * branches * costs.head * scored) / ours for scored in (length, answer))


def option_limit(model: Any, prompt: int, option: int, options: int) -> float:
    """Limit of reading a prompt once for its options: each option in a row of its own, every position projected to the
    vocabulary as the model's forward does, over one trunk with branches, scored positions projected alone."""
    costs = costs_of(model)
    length = prompt + option
    plain = options * (costs.image + costs.token * length + costs.pair * _causal(length) + costs.head * length)
    ours = costs.image + costs.token * (prompt + options * option)
    ours += costs.pair * (_causal(prompt) + options * (option * prompt + _causal(option)))
    return plain / (ours + costs.head * options * option)


def question_limit(model: Any, shared: int, own: int, answer: int, questions: int) -> float:
    """Limit of reading what questions share once: `generate` reads `shared` and `own` tokens for each of them.

    Both project one position per answer token; the last answer token is never read.
    """
    costs = costs_of(model)
    branch = own + answer - 1
    length = shared + branch
    plain = questions * (costs.image + costs.token * length + costs.pair * _causal(length) + costs.head * answer)
    ours = costs.image + costs.token * (shared + questions * branch) + costs.head * questions * answer
    return plain / (ours + costs.pair * (_causal(shared) + questions * (branch * shared + _causal(branch))))


def packing_limits(model: Any, examples: Sequence[Example], batch: int) -> tuple[float, float]:
    """Limits of a packed SFT step over `examples` of a Qwen2.5-VL shape, against rows padded to the longest of each
    `batch`: every position scored, and labelled ones only. The tower does the same work on both sides."""
    text = model.config.text_config
    token = _weights(model.model.language_model.layers)
    pair = 2 * text.num_hidden_layers * text.hidden_size
    head = text.vocab_size * text.hidden_size
    patches = model.config.vision_config.spatial_merge_size**2
    tower = _weights(model.model.visual.blocks) * patches + _weights(model.model.visual.merger)
    tower *= sum(example.image for example in examples)
    ours = tower + sum(token * row.length + pair * _causal(row.length) + head * row.answer for row in examples)
    decoder, padded = 0.0, 0
    for start in range(0, len(examples), batch):
        rows = examples[start : start + batch]
        length = max(row.length for row in rows)
        decoder += len(rows) * (token * length + pair * _causal(length))
        padded += len(rows) * length
    answers = sum(row.answer for row in examples)
    return tuple((3 * (tower + decoder) + 4 * head * scored) / (3 * ours) for scored in (padded, answers))


def _causal(length: int) -> float:
    return length * (length + 1) / 2


def _weights(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
