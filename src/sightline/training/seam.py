"""The place where the engine enters TRL: a forward that reads a forest and returns TRL's own record."""

# Dims: N sequences, L tokens of a sequence, E edges, F feature rows.
from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import FusedCausalLMOutput

from sightline.engine.feature_store import FeatureStore, adapts_vision
from sightline.engine.features import encode_images
from sightline.engine.forest import NO_LABEL, Forest
from sightline.engine.logprobs import EdgeScores
from sightline.engine.routes import longest_shared, score_forest, whole_rows
from sightline.types import FamilyFacts


def add_forest_forward(
    model: Any,
    facts: FamilyFacts,
    route: str,
    context: Callable[[], AbstractContextManager] | None = None,
    store: FeatureStore | None = None,
) -> None:
    """Let `model(forest=..., fused_lm_head=True, **batch)` return TRL's per-token record of the rows, run by `route`.

    `context` is entered around each such forward, for a model that accelerate has wrapped in autocast before. With
    `store`, features that lie on disk are read; the batch names its images by `image_spans` then.

    Without `forest` the forward is the one that was there (TRL's fused head, or the model's own); so it is for whoever
    wants logits of a batch that has one, or has changed its labels: from whole rows then, as TRL's batch has them.
    Backbone and head are looked up on each call, since PEFT and FSDP replace them after patching.
    """
    forward_without_forest = model.forward
    remembered = _FrozenFeatures(store, adapts_vision(model))

    # Keeps the original signature: `generate` validates its arguments against it.
    @functools.wraps(type(model).forward)
    def forest_forward(self: Any, *args: Any, forest: Forest | None = None, **kwargs: Any) -> Any:
        if forest is None:
            return forward_without_forest(*args, **kwargs)
        spans = kwargs.pop("image_spans", ())
        if not _asks_for_scores(kwargs, forest) or _is_too_long(self, facts, forest):
            return forward_without_forest(*args, **whole_rows(kwargs, forest, [count for _, count in spans], facts))
        image_inputs = {name: kwargs[name] for name in facts.image_inputs if kwargs.get(name) is not None}
        with context() if context is not None else nullcontext():
            features_FH = remembered.features(self, facts, image_inputs, spans) if image_inputs else None
            scores = score_forest(self, facts, forest, features_FH, image_inputs, route)
        return _trl_record(scores, forest, kwargs["labels"], kwargs.get("num_items_in_batch"))

    model.forward = types.MethodType(forest_forward, model)


class _FrozenFeatures:
    """Features of the latest batch when nothing in tower or projector trains, so that the reference of a PEFT run,
    which is the same model with its adapters off, need not encode the images again; unless the tower is `adapted`."""

    def __init__(self, store: FeatureStore | None, adapted: bool) -> None:
        self._store = store
        self._adapted = adapted
        self._inputs: weakref.ref[Tensor] | None = None
        self._features_FH: Tensor | None = None

    def features(
        self, model: Any, facts: FamilyFacts, image_inputs: dict[str, Tensor], spans: Sequence[tuple[str, int]]
    ) -> Tensor:
        first = next(iter(image_inputs.values()))
        if self._inputs is not None and self._inputs() is first and self._features_FH is not None:
            return self._features_FH
        if self._store is not None and spans and self._store.holds():
            features_FH = self._store.encode(model, facts, image_inputs, spans)
        else:
            features_FH = encode_images(model, facts, image_inputs)
        # Only a pass with gradients on can tell that no parameter behind the features trains.
        frozen = torch.is_grad_enabled() and not features_FH.requires_grad and not self._adapted
        self._inputs = weakref.ref(first) if frozen else None
        self._features_FH = features_FH if frozen else None
        return features_FH


def _asks_for_scores(arguments: dict[str, Any], forest: Forest) -> bool:
    """Whether a forward is called as TRL's losses call it, with the labels of the forest's edges."""
    labels_NL = arguments.get("labels")
    if not arguments.get("fused_lm_head") or labels_NL is None:
        return False
    labelled_N, scored_N = (labels_NL[:, 1:] != NO_LABEL).sum(1), (forest.edge_NT >= 0).sum(1)
    return torch.equal(labelled_N, scored_N)


def _is_too_long(model: Any, facts: FamilyFacts, forest: Forest) -> bool:
    """Whether a sequence is so long that the model would read it otherwise than those that it shares tokens with."""
    limit = longest_shared(model, facts)
    return limit is not None and int((forest.path_NL >= 0).sum(1).max()) > limit


def _trl_record(scores: EdgeScores, forest: Forest, labels_NL: Tensor, num_items_in_batch: Any) -> FusedCausalLMOutput:
    """TRL's record, (N, L - 1) per field: the score of each token with a label where TRL has it, zero elsewhere."""
    scored_NL = labels_NL[:, 1:] != NO_LABEL
    edges = forest.edge_NT[forest.edge_NT >= 0]  # row by row, as the labels stand
    spread = EdgeScores(
        *(values_E.new_zeros(scored_NL.shape).masked_scatter(scored_NL, values_E[edges]) for values_E in scores)
    )
    count = scored_NL.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
    return FusedCausalLMOutput(
        loss=-spread.logprob_E.sum() / count,
        log_probs=spread.logprob_E,
        entropy=spread.entropy_E,
        log_sum_sq_probs=spread.log_sum_square_E,
        mean_logits=spread.mean_logit_E,
        is_top1=spread.is_top1_E,
        label_mask=scored_NL,
    )
