"""Run a batch on a model: `mask` (one forward), `fork` (trunks, then branches) or `plain` (every row).

`score_forest` is the entry for training and for likelihoods; `read_forest` and `read_step` serve decoding, and
`score_plain` is what the self-test holds the routes against.
"""

# Dims: R rows, L tokens, Q new tokens, H hidden, E edges, F feature rows, N sequences, T tokens of all rows.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.utils.rnn import pad_sequence

from sightline.engine.features import embedded, encode_images, pick_inputs, placed
from sightline.engine.forest import NO_LABEL, Forest
from sightline.engine.fork import CACHE, fork_hidden
from sightline.engine.logprobs import EdgeScores, LogitRule, score_edges
from sightline.engine.masks import forest_masks
from sightline.errors import ConfigError
from sightline.types import PROMPT, THROUGH_MODEL, FamilyFacts, TokenSequence

UNKNOWN = FamilyFacts(name="", image_inputs=())  # a family whose rows need nothing special


def score_forest(
    model: Any,
    facts: FamilyFacts,
    forest: Forest,
    features_FH: Tensor | None,
    image_inputs: dict[str, Any] | None = None,
    route: str = "mask",
    rule: LogitRule | None = None,
) -> EdgeScores:
    """Scores of every edge of the forest, by the route `mask` or `fork`; `rule` is TRL's loss's by default.

    `features_FH` are the features of the batch's distinct images (`encode_images`), None without images;
    `image_inputs` are needed for M-RoPE alone, whose positions come from the images' grids.

    Raises:
        ConfigError: the head is spread over processes.
    """
    head = model.get_output_embeddings()
    if isinstance(head.weight, DTensor):
        raise ConfigError(
            "A forest is scored with the whole lm_head, but FSDP or tensor parallelism has spread its weight over "
            "processes (DTensor). Set share to plain, or leave the head whole."
        )
    positions = forest_positions(model, facts, forest, image_inputs or {})
    parent_hidden = fork_hidden if route == "fork" else mask_hidden
    hidden_EH = parent_hidden(model, facts, forest, features_FH, positions)
    return score_edges(hidden_EH, head.weight, head.bias, forest.label_E, rule or loss_rule(model))


def mask_hidden(
    model: Any, facts: FamilyFacts, forest: Forest, features_FH: Tensor | None, positions: Tensor
) -> Tensor:
    """Hidden states at the parents of the forest's edges, (E, H), in one forward pass of the backbone."""
    return read_forest(model, facts, forest, features_FH, positions).flatten(0, 1)[forest.parent_E]


def read_forest(
    model: Any, facts: FamilyFacts, forest: Forest, features_FH: Tensor | None, positions: Tensor, cache: Any = None
) -> Tensor:
    """Hidden states of a forest's tokens, (R, L, H), from one forward pass of the backbone; `cache` keeps its keys and
    values where one is given."""
    text_config = model.config.get_text_config()
    decoder, inputs = _decoder_inputs(model, facts, forest, features_FH)
    hidden_RLH: Tensor = decoder(
        position_ids=positions,
        attention_mask=forest_masks(
            forest, text_config, bool(facts.both_ways), model.get_input_embeddings().weight.dtype
        ),
        use_cache=cache is not None,
        **{CACHE: cache},
        **inputs,
    ).last_hidden_state
    return hidden_RLH


def read_step(model: Any, facts: FamilyFacts, ids_RQ: Tensor, positions: Tensor, masks: Any, cache: Any) -> Tensor:
    """Hidden states of text tokens that follow what `cache` holds, (R, Q, H)."""
    if facts.features_enter == THROUGH_MODEL:
        decoder, inputs = model.base_model, {"input_ids": ids_RQ}
    else:
        decoder = model.get_submodule(facts.decoder)
        inputs = {"inputs_embeds": model.get_input_embeddings()(ids_RQ)}
    hidden_RQH: Tensor = decoder(
        position_ids=positions, attention_mask=masks, use_cache=True, **{CACHE: cache}, **inputs
    ).last_hidden_state
    return hidden_RQH


def loss_rule(model: Any) -> LogitRule:
    """What TRL's loss makes of the head's output, by the text config, whether or not the model's own forward does.

    Source: `add_fused_lm_head` of TRL 1.16.
    """
    config = model.config.get_text_config()
    names = ("logit_scale", "output_multiplier", "lm_head_multiplier")
    scale = next((value for name in names if (value := getattr(config, name, None)) is not None), None)
    divisor = getattr(config, "logits_scaling", None)
    if scale is None and divisor is not None:
        scale = divisor if config.model_type == "hyperclovax" else 1 / divisor
    return LogitRule(1.0 if scale is None else float(scale), getattr(config, "final_logit_softcapping", None))


@torch.no_grad()
def own_rule(model: Any) -> LogitRule:
    """What the model's own forward makes of the head's output: classes of LLaVA's kind leave out a decoder's scale."""
    rule = loss_rule(model)
    if rule == LogitRule():
        return rule
    weight = model.get_input_embeddings().weight
    # Several tokens, since padding has an embedding of zeros in many models, of which any scale and cap make zeros.
    ids = torch.arange(min(32, weight.shape[0]), device=weight.device)[None]
    try:
        return LogitRule() if _own_logits(model, {"input_ids": ids})[1] else rule
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        return rule  # a model that reads no text without a picture; the test of its first answers judges


def _own_logits(model: Any, inputs: dict[str, Any]) -> tuple[Tensor, bool]:
    """The logits of the model's own forward, and whether they are the head's output as it is."""
    outputs: list[Tensor] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda *given: outputs.append(given[2]))
    try:
        logits: Tensor = model(**inputs, use_cache=False).logits
    finally:
        hook.remove()
    return logits, len(outputs) == 1 and torch.equal(outputs[0], logits)


def _decoder_inputs(
    model: Any, facts: FamilyFacts, forest: Forest, features_FH: Tensor | None
) -> tuple[Any, dict[str, Any]]:
    """The module that reads a forest to hidden states, and how tokens and features are handed to it."""
    if facts.features_enter != THROUGH_MODEL:
        return model.get_submodule(facts.decoder), {"inputs_embeds": embedded(model, facts, forest, features_FH)}
    inputs: dict[str, Any] = {"input_ids": forest.ids_RL}
    if facts.typed:
        inputs[facts.type_input] = (forest.block_RL >= 0).long()
    if features_FH is not None and len(forest.feature_P):
        inputs |= placed(facts, features_FH, forest.feature_P, model.config.get_text_config().hidden_size)
    return model.base_model, inputs


def forest_positions(model: Any, facts: FamilyFacts, forest: Forest, image_inputs: dict[str, Any]) -> Tensor:
    """Position ids of a forest: depths, or where the model numbers tokens by their types its own, (R, L), or with
    M-RoPE time, height and width, (3, R, L)."""
    if not (facts.grid_input or facts.typed):
        return forest.depth_RL + facts.first_position
    inside_NL = forest.path_NL >= 0
    path_NL = forest.path_NL.clamp(min=0)
    grids = image_inputs.get(facts.grid_input)
    positions_NL, _ = model.base_model.get_rope_index(  # with M-RoPE (3, N, L)
        forest.ids_RL.flatten()[path_NL],
        mm_token_type_ids=(forest.block_RL.flatten()[path_NL] >= 0).int(),
        attention_mask=inside_NL.long(),
        image_grid_thw=grids[forest.shown_I] if grids is not None else None,
    )
    # An image moves the positions behind it otherwise than by its tokens, so depth says nothing. The model numbers each
    # sequence as if it stood alone; tokens that sequences share get the same numbers from each, and are written twice.
    positions_T = forest.depth_RL.new_zeros(*positions_NL.shape[:-2], forest.ids_RL.numel())
    positions_T[..., forest.path_NL[inside_NL]] = positions_NL[..., inside_NL]
    return positions_T.unflatten(-1, forest.ids_RL.shape)


def longest_shared(model: Any, facts: FamilyFacts) -> int | None:
    """Tokens of a sequence up to which what it shares with others is right; None where all is, as in training."""
    if model.training or not facts.length_setting:
        return None
    return int(getattr(model.config.get_text_config(), facts.length_setting))


def plain_inputs(
    sequences: Sequence[TokenSequence],
    image_inputs: dict[str, Any],
    pad_id: int,
    counts: Sequence[int] = (),
    facts: FamilyFacts = UNKNOWN,
) -> dict[str, Any]:
    """What the model's own forward takes for the sequences as they are, with `labels`: right-padded rows, and the
    images repeated for every sequence that shows them.

    `counts` are the placeholders of each distinct image, by default all alike.
    """
    ids = [torch.from_numpy(sequence.ids_L) for sequence in sequences]
    labels = [
        torch.from_numpy(sequence.ids_L).masked_fill(~torch.from_numpy(sequence.scored_L), NO_LABEL)
        for sequence in sequences
    ]
    types = [torch.from_numpy(_types_L(sequence, facts)).long() for sequence in sequences]
    order = torch.tensor([image for sequence in sequences for image in sequence.images], dtype=torch.long)
    images_N = torch.tensor([len(sequence.images) for sequence in sequences])
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_id),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True, padding_value=0),
        "labels": pad_sequence(labels, batch_first=True, padding_value=NO_LABEL),
        **({facts.type_input: pad_sequence(types, batch_first=True, padding_value=0)} if facts.type_input else {}),
        **_repeated(image_inputs, order, images_N, counts, facts),
    }


def whole_rows(inputs: dict[str, Any], forest: Forest, counts: Sequence[int], facts: FamilyFacts) -> dict[str, Any]:
    """What the model's own forward takes instead of a forest: `inputs`, whose texts are whole rows already, with the
    images repeated for every sequence that shows them; `counts` are the placeholders of each distinct image."""
    images = {name: value for name, value in inputs.items() if name in facts.known_inputs and value is not None}
    texts = {name: value for name, value in inputs.items() if name not in facts.known_inputs}
    return {**texts, **_repeated(images, forest.shown_I, forest.images_N, counts, facts)}


def _repeated(
    image_inputs: dict[str, Any], order: Tensor, images_N: Tensor, counts: Sequence[int], facts: FamilyFacts
) -> dict[str, Any]:
    """The image inputs of the images `order`, of which each row shows `images_N`."""
    images = pick_inputs(image_inputs, order, counts, facts) if len(order) else {}
    return {**images, facts.row_input: images_N} if facts.row_input in images else images


def _types_L(sequence: TokenSequence, facts: FamilyFacts) -> np.ndarray:
    """What the family's `type_input` holds for the sequence."""
    both_ways_L = sequence.both_ways_L(facts.both_ways)
    return ~both_ways_L if facts.both_ways == PROMPT else both_ways_L


def score_plain(model: Any, inputs: dict[str, Any]) -> list[Tensor]:
    """For each sequence the log-probabilities of its scored tokens, the plain route: from the model's own logits, with
    the scale and cap that TRL's loss applies where the model's forward leaves them out."""
    labels = inputs["labels"][:, 1:]  # the logits of a token predict the next one
    arguments = {name: value for name, value in inputs.items() if name != "labels"}
    logits, is_bare = _own_logits(model, arguments)
    logits = loss_rule(model).applied(logits[:, :-1].float()) if is_bare else logits[:, :-1].float()
    logprobs = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)
    return [row[label != NO_LABEL] for row, label in zip(logprobs, labels, strict=True)]


def score_sequences(
    model: Any, facts: FamilyFacts, forest: Forest, image_inputs: dict[str, Any], route: str = "mask"
) -> list[Tensor]:
    """For each sequence the log-probabilities of its scored tokens, through the forest."""
    features_FH = encode_images(model, facts, image_inputs) if image_inputs else None
    logprob_E = score_forest(model, facts, forest, features_FH, image_inputs, route).logprob_E
    return [logprob_E[edges[edges >= 0]] for edges in forest.edge_NT]
