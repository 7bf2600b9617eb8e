"""Each family's forest equals plain rows: log-probabilities and gradients, several images and examples in a row."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from sightline.engine import selftest
from sightline.engine.routes import plain_inputs, whole_rows
from sightline.engine.selftest import choose_route
from sightline.errors import ConfigError
from tests.families.case import Case, difference, gradient_error
from tests.families.tiny_families import every_family


@pytest.fixture(scope="module", params=every_family())
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp(request.param))


def needs_mask(case: Case) -> None:
    if case.route != "mask":
        pytest.skip(f"{case.facts.name} runs by {case.route}, whose controls are in test_fork.py")


@pytest.mark.parametrize("checkpointing", [False, True])
def test_three_examples_in_one_row_score_as_alone(case: Case, checkpointing: bool) -> None:
    assert case.forest.ids_RL.shape[0] == 1
    plain = case.plain()
    theirs = case.gradients(plain)
    with case.training(checkpointing):
        shared = case.shared()
        ours = case.gradients(shared)
    error = difference(shared, plain)
    assert error <= 1e-4
    assert gradient_error(ours, theirs) <= 1e-3


def test_the_rows_beside_a_forest_are_the_plain_rows(case: Case) -> None:
    """What `predict` and a loss of one's own are given: each picture as often as it is shown."""
    batch, facts = case.batch, case.facts
    plain = plain_inputs(batch.sequences, batch.image_inputs, case.pad_id, batch.counts, facts)
    texts = plain_inputs(batch.sequences, {}, case.pad_id, facts=facts)
    counts = [count for _, count in batch.image_spans]
    whole = whole_rows({**texts, **batch.image_inputs}, case.forest, counts, facts)
    assert whole.keys() == plain.keys()
    assert all(torch.equal(whole[name], plain[name]) for name in plain)


def test_a_mask_without_reach_is_caught(case: Case) -> None:
    """Negative control: siblings and examples see each other."""
    needs_mask(case)
    broken = replace(case.forest, reach_RL=torch.full_like(case.forest.reach_RL, case.forest.ids_RL.shape[1]))
    assert difference(case.shared(broken), case.shared()) > 1e-2


def test_restarted_positions_without_mask_are_caught(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: transformers' own packing by positions cuts a branch from its trunk."""
    needs_mask(case)
    right = case.shared()
    monkeypatch.setattr("sightline.engine.routes.forest_masks", lambda *given: None)
    assert difference(case.shared(), right) > 1e-2


def test_the_self_test_picks_the_fastest_route(case: Case) -> None:
    batch = case.batch
    choice = choose_route(
        case.model, case.facts, batch.sequences, batch.image_inputs, pad_id=case.pad_id, counts=batch.counts
    )
    assert choice.route == case.route, choice.reason


def test_the_self_test_picks_it_in_bf16_too_and_no_broken_one(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding in another order is no error, however equal batched rows and rows alone are."""
    model = copy.deepcopy(case.model).bfloat16()
    batch = case.batch
    images = {
        name: value.bfloat16() if value.is_floating_point() else value for name, value in batch.image_inputs.items()
    }
    arguments = (model, case.facts, batch.sequences, images, case.pad_id, "auto", batch.counts)
    assert choose_route(*arguments).route == case.route
    right = selftest._shared_scores
    monkeypatch.setattr(
        selftest, "_shared_scores", lambda *given, **named: [score + 0.3 for score in right(*given, **named)]
    )
    if "plain" in case.facts.routes:
        assert choose_route(*arguments).route == "plain"
        return
    with pytest.raises(ConfigError, match=f"{case.facts.name} trains on the route mask only"):
        choose_route(*arguments)
