"""FlexAttention's rule allows the pairs of the dense mask; CUDA alone tries it, and falls back with a reason."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention.flex_attention import create_mask
from transformers import LlavaForConditionalGeneration

from sightline.engine import selftest
from sightline.engine.forest import Forest, build_forest
from sightline.engine.masks import FLEX_ATTENTION, block_mask, can_flex, dense_mask, forest_masks, mask_rule
from sightline.engine.routes import plain_inputs, score_plain, score_sequences
from sightline.engine.selftest import choose_route
from sightline.models.families import family_of
from sightline.types import TokenSequence
from tests.families.case import gradient_error
from tests.tiny import tiny_llava

IMAGE_ID = 4


def packed_forest(sequences: int = 12, longest: int = 60) -> Forest:
    """Random trees, some with an image, in a few rows of more than one of FlexAttention's blocks."""
    rng = np.random.default_rng(5)
    rows = []
    for index in range(sequences):
        image = [IMAGE_ID] * 9 if index % 3 else []
        ids = np.array([1, *image, *rng.integers(5, 8, int(rng.integers(4, longest)))])
        feature = np.where(ids == IMAGE_ID, np.arange(len(ids)) - 1 + 9 * (index % 2), -1)
        scored = np.arange(len(ids)) > len(image) + 1
        rows.append(TokenSequence(ids, feature, scored, (index % 2,) if image else ()))
    return build_forest(rows, pad_id=0, max_row=200)


def pairs(forest: Forest, window: int | None, blocks: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs that the dense mask and FlexAttention's rule allow, (R, L, L) each."""
    block_RL = forest.block_RL if blocks else None
    dense = dense_mask(forest.reach_RL, torch.float32, forest.depth_RL, window, block_RL)[:, 0] == 0
    rows, length = forest.ids_RL.shape
    rule = mask_rule(forest.reach_RL, forest.depth_RL, window, block_RL)
    return dense, create_mask(rule, rows, None, length, length, device="cpu")[:, 0]


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("window", [None, 1, 7, 40])
def test_the_rule_allows_the_pairs_of_the_dense_mask(window: int | None, blocks: bool) -> None:
    forest = packed_forest()
    assert forest.ids_RL.shape[0] > 1 and forest.ids_RL.shape[1] > 128
    dense, ruled = pairs(forest, window, blocks)
    assert torch.equal(dense, ruled)


def test_a_rule_without_reach_is_caught() -> None:
    """Negative control: plain causality is another set of pairs."""
    forest = packed_forest()
    dense, _ = pairs(forest, None, False)
    everywhere = torch.full_like(forest.reach_RL, forest.ids_RL.shape[1])
    rule = mask_rule(everywhere, forest.depth_RL)
    rows, length = forest.ids_RL.shape
    assert not torch.equal(dense, create_mask(rule, rows, None, length, length, device="cpu")[:, 0])


def test_blocks_that_the_kernel_skips_hold_no_allowed_pair() -> None:
    forest = packed_forest()
    dense, _ = pairs(forest, 40, True)
    mask = block_mask(forest.reach_RL, forest.depth_RL, 40, forest.block_RL)
    visited = mask.to_dense()[:, 0].bool()
    size = mask.BLOCK_SIZE[0]
    wide = visited.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, : dense.shape[1], : dense.shape[2]]
    assert not (dense & ~wide).any()
    assert not visited.all(), "blocks above the diagonal are skipped"


def test_the_mask_route_builds_block_masks_where_the_decoder_runs_flex_attention() -> None:
    config = SimpleNamespace(
        _attn_implementation=FLEX_ATTENTION, sliding_window=6, layer_types=["sliding_attention", "full_attention"]
    )
    masks = forest_masks(packed_forest(), config, both_ways=True, dtype=torch.float32)
    assert {kind: type(mask).__name__ for kind, mask in masks.items()} == dict.fromkeys(masks, "BlockMask")
    assert set(masks) == {"sliding_attention", "full_attention"}


def test_a_cpu_never_tries_flex_attention() -> None:
    """Its backward pass raises NotImplementedError there (torch 2.13)."""
    assert not can_flex(tiny_llava())


ROWS = [
    TokenSequence(np.array([1, 5, 6, 7]), np.full(4, -1), np.arange(4) > 1),
    TokenSequence(np.array([1, 5, 6, 8, 5]), np.full(5, -1), np.arange(5) > 1),
]


def test_flex_attention_that_fails_leaves_the_dense_mask_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the trial fails in the backward pass, as it would on a card that the kernel does not fit."""
    model: Any = tiny_llava().eval()
    monkeypatch.setattr(selftest, "can_flex", lambda model: True)
    monkeypatch.setattr(selftest, "_shared_scores", failing_under_flex(selftest._shared_scores))
    choice = choose_route(model, family_of(model), ROWS, {}, pad_id=0)
    assert (choice.route, choice.attention) == ("mask", "")
    assert "the mask route with flex_attention failed on this model: NotImplementedError" in choice.reason
    assert "the mask route matches plain rows" in choice.reason
    assert model.get_decoder().config._attn_implementation == "sdpa"


def test_flex_attention_that_is_wrong_leaves_the_dense_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the trial runs dense, and its first scores are spoilt."""
    model: Any = tiny_llava().eval()
    monkeypatch.setattr(selftest, "FLEX_ATTENTION", "eager")
    monkeypatch.setattr(selftest, "can_flex", lambda model: True)
    right = selftest._shared_scores

    def spoilt(model: Any, *given: Any, **named: Any) -> list[torch.Tensor]:
        wrong = model.get_decoder().config._attn_implementation == "eager"
        return [score + 0.1 * wrong for score in right(model, *given, **named)]

    monkeypatch.setattr(selftest, "_shared_scores", spoilt)
    choice = choose_route(model, family_of(model), ROWS, {}, pad_id=0)
    assert (choice.route, choice.attention) == ("mask", "")
    assert "the mask route with eager does not match plain rows" in choice.reason


def test_an_attention_that_matches_stays_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = tiny_llava().eval()
    monkeypatch.setattr(selftest, "FLEX_ATTENTION", "eager")
    monkeypatch.setattr(selftest, "can_flex", lambda model: True)
    choice = choose_route(model, family_of(model), ROWS, {}, pad_id=0)
    assert (choice.route, choice.attention) == ("mask", "eager")
    assert model.get_decoder().config._attn_implementation == "eager"


def failing_under_flex(scores: Any) -> Any:
    def fail(model: Any, *given: Any, **named: Any) -> Any:
        if model.get_decoder().config._attn_implementation == FLEX_ATTENTION:
            raise NotImplementedError("backward")
        return scores(model, *given, **named)

    return fail


@pytest.mark.gpu
def test_on_cuda_flex_attention_is_picked_and_has_the_gradients_of_plain_rows() -> None:
    if not torch.cuda.is_available():
        pytest.skip("FlexAttention has a backward pass on CUDA alone, and no GPU is here")
    config = tiny_llava().config
    config.text_config.head_dim = 16  # the least that the kernel takes
    model: Any = LlavaForConditionalGeneration(config).cuda().eval()
    facts = family_of(model)
    assert facts is not None
    choice = choose_route(model, facts, ROWS, {}, pad_id=0)
    assert (choice.route, choice.attention) == ("mask", FLEX_ATTENTION), choice.reason
    ours = gradients(model, score_sequences(model, facts, build_forest(ROWS, 0).to("cuda"), {}))
    model.get_decoder().set_attn_implementation("sdpa")
    inputs = {name: value.cuda() for name, value in plain_inputs(ROWS, {}, 0).items()}
    theirs = gradients(model, score_plain(model, inputs))
    assert gradient_error(ours, theirs) <= 1e-3


def gradients(model: Any, scores: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.stack([(index - 1.3) * score.sum() for index, score in enumerate(scores)]).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.slow
def test_the_compiled_kernel_scores_as_plain_rows_on_a_cpu() -> None:
    """Forward alone; compiling takes half a minute."""
    if shutil.which("c++") is None:
        pytest.skip("torch.compile needs a C++ compiler, and none is here")
    model: Any = tiny_llava().eval()
    plain = score_plain(model, plain_inputs(ROWS, {}, 0))
    model.get_decoder().set_attn_implementation(FLEX_ATTENTION)
    facts = family_of(model)
    assert facts is not None
    with torch.no_grad():
        shared = score_sequences(model, facts, build_forest(ROWS, 0), {})
    for ours, theirs in zip(shared, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
