"""The self-test sees what rows without a common image would hide: branches, and trees that share a row."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from sightline.engine import routes, selftest
from sightline.engine.forest import Forest, build_forest
from sightline.engine.selftest import choose_route, forked, row_tokens
from sightline.models.families import family_of
from sightline.types import PROMPT, TokenSequence
from tests.engine.test_routes import pixels, with_image, without_image
from tests.tiny import tiny_llava

APART = [with_image(0, [5, 6], [7, 8, 9]), with_image(1, [6, 5], [8, 7, 6, 5]), with_image(2, [9, 9, 9], [5, 6])]
STATES = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}


def over_falcon_h1() -> Any:
    """LLaVA over a decoder with attention and, beside it, layers that keep a state."""
    base = tiny_llava().config
    text = base.text_config.to_dict()
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names = (*kept, "num_key_value_heads", "initializer_range", "pad_token_id", "bos_token_id", "eos_token_id")
    config = copy.deepcopy(base)
    config.text_config = transformers.FalconH1Config(**{name: text[name] for name in names}, **STATES)
    torch.manual_seed(0)
    return transformers.LlavaForConditionalGeneration(config)


def every_earlier_token(forest: Forest, config: Any, *given: Any) -> torch.Tensor:
    """A mask that knows neither branches nor trees."""
    L = forest.ids_RL.shape[1]
    lowest = torch.finfo(torch.float32).min
    return torch.full((L, L), lowest).triu(1)[None, None].expand(len(forest.ids_RL), 1, L, L).clone()


def test_a_decoder_with_a_state_is_found_out_where_no_two_rows_show_one_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = over_falcon_h1()
    assert choose_route(model, family_of(model), APART, pixels(3), pad_id=0).route == "plain"
    kinds = set(model.config.text_config.layer_types)
    monkeypatch.setattr(selftest, "KNOWN_LAYERS", selftest.KNOWN_LAYERS | kinds)
    choice = choose_route(model, family_of(model), APART, pixels(3), pad_id=0)
    assert choice.route == "plain"
    assert "does not match plain rows" in choice.reason


@pytest.mark.parametrize("rows", [APART[:1], APART[:2], APART, [without_image([5, 6], [7, 8, 9])]])
def test_a_mask_without_branches_is_found_out(rows: list[TokenSequence], monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llava(0)
    images = pixels(max((image + 1 for row in rows for image in row.images), default=0)) if rows[0].images else {}
    assert choose_route(model, family_of(model), rows, images, pad_id=0).route == "mask"
    monkeypatch.setattr(routes, "forest_masks", every_earlier_token)
    assert choose_route(model, family_of(model), rows, images, pad_id=0).route == "plain"


def test_rows_that_part_stay_as_they_are() -> None:
    rows = [with_image(0, [5], [6, 7, 8]), with_image(0, [5], [7, 6, 8])]
    assert forked(rows, "") is rows


def test_a_branch_of_one_token_is_not_enough() -> None:
    rows = [with_image(0, [5], [6]), with_image(0, [5], [7])]
    assert len(forked(rows, "")) == 3


def test_a_fork_keeps_the_prompt_where_that_looks_both_ways() -> None:
    rows = [with_image(0, [5, 6], [7]), with_image(1, [5], [8, 7, 6])]
    *_, fork = forked(rows, PROMPT)
    assert fork.images == (1,)
    assert np.array_equal(fork.ids_L[:-3], rows[1].ids_L[:-2]) and fork.scored_L[-3:].all()


def test_two_trees_share_a_row_of_the_self_test() -> None:
    rows = forked(APART, "")
    forest = build_forest(rows, 0, max_row=row_tokens(rows, ""))
    assert len(forest.ids_RL) < 3
    assert row_tokens(APART[:1], "") is None
