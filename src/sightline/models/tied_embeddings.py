"""Input and output embeddings that are one weight, while an adapter that changes one of them is merged."""

from __future__ import annotations

from typing import Any

import torch


def untie_adapted(adapted: Any) -> tuple[Any, ...]:
    """Gives the output embeddings a weight of their own, and returns the configs that say there is one; none where
    there are two already.

    PEFT (0.21) adds to the shared weight: an adapter on the input embeddings would then act on the output as well.
    """
    model = adapted.get_base_model()
    tables = [_table(layer) for layer in _embeddings(model)]
    if len(tables) < 2 or tables[0].weight is not tables[1].weight:
        return ()
    tables[1].weight = torch.nn.Parameter(tables[1].weight.detach().clone(), requires_grad=False)
    parts = (getattr(model.config, name, None) for name in model.config.sub_configs)
    return tuple(config for config in (model.config, *parts) if getattr(config, "tie_word_embeddings", False))


def tie_again(model: Any, configs: tuple[Any, ...]) -> None:
    """One weight for both where they are equal; else the configs say that there are two."""
    if not configs:
        return
    one, other = _embeddings(model)
    equal = torch.equal(one.weight, other.weight)
    if equal:
        other.weight = one.weight
    for config in configs:
        config.tie_word_embeddings = equal
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


def _embeddings(model: Any) -> list[Any]:
    found = (model.get_input_embeddings(), model.get_output_embeddings())
    return [layer for layer in found if layer is not None]


def _table(layer: Any) -> Any:
    """The model's own layer beneath what PEFT put around it."""
    while True:
        inner = getattr(layer, "base_layer", None) or getattr(layer, "original_module", None)
        if inner is None:
            return layer
        layer = inner
