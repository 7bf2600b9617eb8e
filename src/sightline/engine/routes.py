"""Run a batch on a model: `mask`, one forward over the forest, or `plain`, every sequence in its own row."""

# Dims: R rows, L tokens, H hidden, E edges, F feature rows, N sequences.
from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sightline.engine.features import encode_images, placed
from sightline.engine.forest import NO_LABEL, Forest
from sightline.engine.logprobs import EdgeScores, score_edges
from sightline.engine.masks import dense_mask
from sightline.types import FamilyFacts, Sequence


def score_forest(model: Any, facts: FamilyFacts, forest: Forest, features_FH: Tensor | None) -> EdgeScores:
    """Scores of every edge of the forest in one forward pass of the backbone, the mask route.

    `features_FH` are the features of the batch's distinct images (`encode_images`), None without images.
    """
    embeddings = model.get_input_embeddings().weight
    images = placed(facts, features_FH, forest.feature_P) if features_FH is not None and len(forest.feature_P) else {}
    hidden_RLH = model.base_model(
        input_ids=forest.ids_RL,
        position_ids=forest.depth_RL + facts.first_position,
        attention_mask=dense_mask(forest.reach_RL, embeddings.dtype),
        use_cache=False,
        **images,
    ).last_hidden_state
    head = model.get_output_embeddings()
    hidden_EH = hidden_RLH.flatten(0, 1)[forest.parent_E]
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return score_edges(hidden_EH, head.weight, head.bias, forest.label_E, softcap)


def plain_inputs(sequences: Many[Sequence], image_inputs: dict[str, Any], pad_id: int) -> dict[str, Any]:
    """What the model's own forward takes for the sequences as they are, with `labels`: right-padded rows, and the
    images repeated for every sequence that shows them."""
    ids = [torch.from_numpy(sequence.ids_L) for sequence in sequences]
    labels = [
        torch.from_numpy(sequence.ids_L).masked_fill(~torch.from_numpy(sequence.scored_L), NO_LABEL)
        for sequence in sequences
    ]
    order = torch.tensor([image for sequence in sequences for image in sequence.images], dtype=torch.long)
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_id),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True, padding_value=0),
        "labels": pad_sequence(labels, batch_first=True, padding_value=NO_LABEL),
        **{name: value[order.to(value.device)] for name, value in image_inputs.items() if len(order)},
    }


def score_plain(model: Any, inputs: dict[str, Any]) -> list[Tensor]:
    """For each sequence the log-probabilities of its scored tokens, from the model's own logits, the plain route."""
    labels = inputs["labels"][:, 1:]
    arguments = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**arguments, use_cache=False).logits[:, :-1].float()
    logprobs = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)
    return [row[label != NO_LABEL] for row, label in zip(logprobs, labels, strict=True)]


def score_sequences(model: Any, facts: FamilyFacts, forest: Forest, image_inputs: dict[str, Any]) -> list[Tensor]:
    """For each sequence the log-probabilities of its scored tokens, through the forest."""
    features_FH = encode_images(model, facts, image_inputs) if image_inputs else None
    logprob_E = score_forest(model, facts, forest, features_FH).logprob_E
    return [logprob_E[edges[edges >= 0]] for edges in forest.edge_NT]
