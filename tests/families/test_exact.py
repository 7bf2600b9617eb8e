"""Each family's forest equals plain rows: log-probabilities and gradients, several images and examples in a row."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sightline.engine.selftest import choose_route
from tests.families.case import Case, difference, gradient_error
from tests.families.tiny_families import BUILDERS


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp(request.param))


def test_three_examples_in_one_row_score_as_alone(case: Case) -> None:
    assert case.forest.ids_RL.shape[0] == 1
    shared, plain = case.shared(), case.plain()
    error = difference(shared, plain)
    ours, theirs = case.gradients(shared), case.gradients(plain)
    assert error <= 1e-4
    assert gradient_error(ours, theirs) <= 1e-3


def test_a_mask_without_reach_is_caught(case: Case) -> None:
    """Negative control: siblings and examples see each other."""
    broken = replace(case.forest, reach_RL=torch.full_like(case.forest.reach_RL, case.forest.ids_RL.shape[1]))
    assert difference(case.shared(broken), case.shared()) > 1e-2


def test_restarted_positions_without_mask_are_caught(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: transformers' own packing by positions cuts a branch from its trunk."""
    right = case.shared()
    monkeypatch.setattr("sightline.engine.routes.forest_masks", lambda *given: None)
    assert difference(case.shared(), right) > 1e-2


def test_the_self_test_picks_the_mask_route(case: Case) -> None:
    batch = case.batch
    choice = choose_route(
        case.model, case.facts, batch.sequences, batch.image_inputs, pad_id=case.pad_id, counts=batch.counts
    )
    assert choice.route == "mask", choice.reason
