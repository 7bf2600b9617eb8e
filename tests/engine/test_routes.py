"""The mask route equals plain rows: log-probabilities, gradients, and what breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from sightline.engine import routes
from sightline.engine.features import pick_inputs
from sightline.engine.forest import Forest, build_forest
from sightline.engine.routes import plain_inputs, score_plain, score_sequences
from sightline.engine.selftest import choose_route
from sightline.errors import ConfigError, DataError
from sightline.models.families import family_of
from sightline.types import FamilyFacts, TokenSequence
from tests.tiny import tiny_llava

IMAGE_ID, TOKENS, VOCABULARY = 4, 16, 48
FACTS = FamilyFacts(name="llava", image_inputs=("pixel_values",))


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_llava(0).eval()


def with_image(image: int, prompt: list[int], answer: list[int]) -> TokenSequence:
    """<s> image prompt answer, the answer scored."""
    ids = [1, *[IMAGE_ID] * TOKENS, *prompt, *answer]
    features = [-1, *range(image * TOKENS, (image + 1) * TOKENS), *[-1] * len(prompt + answer)]
    scored = np.arange(len(ids)) >= 1 + TOKENS + len(prompt)
    return TokenSequence(np.array(ids), np.array(features), scored, (image,))


def without_image(prompt: list[int], answer: list[int]) -> TokenSequence:
    ids = [1, *prompt, *answer]
    return TokenSequence(np.array(ids), np.full(len(ids), -1), np.arange(len(ids)) > len(prompt))


def pixels(images: int) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randn(images, 3, 32, 32, generator=torch.Generator().manual_seed(1))}


TEXT = st.lists(st.integers(5, 8), min_size=1, max_size=4)


@st.composite
def batches(draw: st.DrawFn) -> list[TokenSequence]:
    """Rows over up to three images and none, from few words, so that images, prompts and answers coincide."""
    rows = draw(st.lists(st.tuples(st.integers(-1, 2), TEXT, TEXT), min_size=1, max_size=6))
    return [with_image(image, q, a) if image >= 0 else without_image(q, a) for image, q, a in rows]


def shown_images(rows: list[TokenSequence]) -> dict[str, torch.Tensor]:
    return pixels(3) if any(row.images for row in rows) else {}


def gradients(model: Any, scores: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Gradients of a loss that weighs every sequence differently, as a preference loss does."""
    model.zero_grad()
    torch.stack([(index - 1.3) * score.sum() for index, score in enumerate(scores)]).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@given(batches())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_forest_logprobs_and_gradients_equal_those_of_plain_rows(model: Any, rows: list[TokenSequence]) -> None:
    images = shown_images(rows)
    shared = score_sequences(model, FACTS, build_forest(rows, pad_id=0), images)
    shared_gradients = gradients(model, shared)
    plain = score_plain(model, plain_inputs(rows, images, pad_id=0))
    plain_gradients = gradients(model, plain)
    for left, right in zip(shared, plain, strict=True):
        torch.testing.assert_close(left, right, atol=1e-4, rtol=0)
    assert plain_gradients.keys() <= shared_gradients.keys()
    scale = max(float(gradient.abs().max()) for gradient in plain_gradients.values())
    for name, gradient in plain_gradients.items():
        error = float((gradient - shared_gradients[name]).abs().max())
        assert error <= 1e-3 * float(gradient.abs().max()) + 1e-5 * scale, name


def test_each_distinct_image_passes_the_tower_once(model: Any) -> None:
    passed: list[int] = []
    handle = model.model.vision_tower.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    rows = [with_image(image, [5], [answer]) for image in (0, 1) for answer in (6, 7, 8)]
    score_sequences(model, FACTS, build_forest(rows, pad_id=0), pixels(2))
    handle.remove()
    assert passed == [2]


def test_a_mask_that_lets_siblings_see_each_other_is_caught(model: Any) -> None:
    """Negative control: with reach cut away a branch sees the branches before it."""
    rows = [with_image(0, [5, 6], [7, 8]), with_image(0, [5, 6], [8, 5, 6])]
    forest = build_forest(rows, pad_id=0)
    broken: Forest = replace(forest, reach_RL=torch.full_like(forest.reach_RL, forest.ids_RL.shape[1]))
    right = score_sequences(model, FACTS, forest, pixels(1))
    wrong = score_sequences(model, FACTS, broken, pixels(1))
    assert float((right[1] - wrong[1]).abs().max()) > 1e-2


def test_positions_by_index_instead_of_depth_are_caught(model: Any) -> None:
    """Negative control: a second branch whose positions go on from the first is at the wrong place."""
    rows = [with_image(0, [5, 6], [7, 8]), with_image(0, [5, 6], [8, 5, 6])]
    forest = build_forest(rows, pad_id=0)
    broken = replace(forest, depth_RL=torch.arange(forest.ids_RL.shape[1])[None])
    right = score_sequences(model, FACTS, forest, pixels(1))
    wrong = score_sequences(model, FACTS, broken, pixels(1))
    assert float((right[1] - wrong[1]).abs().max()) > 1e-3


def test_rows_of_an_image_input_are_divided_by_the_patches_of_its_tiles() -> None:
    """Image 0: two tiles of 4 x 4 patches and one of 2 x 4, 10 placeholders; image 1: one tile of 4 x 4, 4 of them."""
    inputs = {"tiles": torch.tensor([0, 1, 2, 10]), "shapes": torch.tensor([[4, 4], [4, 4], [2, 4], [4, 4]])}
    facts = replace(FACTS, image_inputs=("tiles", "shapes"), shape_input="shapes")
    picked = pick_inputs(inputs, torch.tensor([1, 0, 1]), (10, 4), facts)
    assert picked["tiles"].tolist() == [10, 0, 1, 2, 10]
    with pytest.raises(DataError, match=r"got 4 entries for \[10, 4\] placeholders. Use images of one size"):
        pick_inputs({"tiles": inputs["tiles"]}, torch.tensor([0]), (10, 4), facts)


class TestSelfTest:
    rows = (with_image(0, [5, 6], [7, 8]), with_image(0, [5, 6], [8, 5]))

    def test_it_picks_the_mask_route_and_says_how_far_it_is_off(self, model: Any) -> None:
        choice = choose_route(model, family_of(model), self.rows, pixels(1), pad_id=0)
        assert choice.route == "mask"
        assert choice.error is not None and choice.error < 1e-5

    def test_it_falls_back_when_the_mask_is_ignored(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(routes, "forest_masks", lambda *given: None)
        choice = choose_route(model, family_of(model), self.rows, pixels(1), pad_id=0)
        assert choice.route == "plain"
        assert "does not match plain rows" in choice.reason

    def test_it_falls_back_for_an_unknown_family(self, model: Any) -> None:
        choice = choose_route(model, None, self.rows, pixels(1), pad_id=0)
        assert choice.route == "plain"
        assert "llava is not in Sightline's table" in choice.reason

    @pytest.mark.parametrize(
        ("setting", "kinds"),
        [("layer_types", ["chunked_attention", "full_attention"]), ("attention_layers", ["global", "local"])],
    )
    def test_it_falls_back_for_layers_of_unknown_windows(self, setting: str, kinds: list[str]) -> None:
        model = tiny_llava(0)
        setattr(model.config.text_config, setting, kinds)
        choice = choose_route(model, family_of(model), self.rows, pixels(1), pad_id=0)
        assert choice.route == "plain"
        assert "whose masks are not known" in choice.reason

    def test_it_falls_back_when_the_tower_normalises_over_the_batch(self) -> None:
        model = tiny_llava(0)
        model.model.vision_tower.extra = torch.nn.BatchNorm2d(3)
        choice = choose_route(model, family_of(model), self.rows, pixels(1), pad_id=0)
        assert choice.route == "plain"
        assert "normalises over the batch" in choice.reason

    def test_it_refuses_when_the_user_insists(self, model: Any) -> None:
        with pytest.raises(ConfigError, match="share is set to mask, but the mask route is not right here"):
            choose_route(model, None, self.rows, pixels(1), pad_id=0, share="mask")

    def test_an_unknown_choice_names_the_known_ones(self, model: Any) -> None:
        with pytest.raises(ConfigError, match="expected one of auto, mask, fork, plain; got 'both'"):
            choose_route(model, None, self.rows, pixels(1), pad_id=0, share="both")
