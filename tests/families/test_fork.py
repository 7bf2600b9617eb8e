"""The fork route equals plain rows on recurrent decoders, refuses what it cannot do, and its controls are caught."""

from __future__ import annotations

import contextlib
import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings, strategies as st
from peft import LoraConfig, get_peft_model

import sightline
import sightline.training
from sightline.engine import fork
from sightline.engine.feature_store import find_storable
from sightline.engine.forest import build_forest
from sightline.engine.fork import Stage, stages
from sightline.engine.routes import plain_inputs, score_plain, score_sequences
from sightline.engine.selftest import choose_route
from sightline.errors import ConfigError
from sightline.types import TokenSequence
from tests.families.case import Case, difference, gradient_error, preference_rows
from tests.families.tiny_families import saved_family

FORKED = ["lfm2_vl", "qwen3_5"]


@pytest.fixture(scope="module", params=FORKED)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp(request.param))


def text(*ids: int, scored_from: int = 1) -> TokenSequence:
    return TokenSequence(np.array([1, *ids]), np.full(1 + len(ids), -1), np.arange(1 + len(ids)) >= scored_from)


def choose(case: Case, facts: Any = None, share: str = "auto") -> Any:
    batch = case.batch
    images, counts = batch.image_inputs, batch.counts
    return choose_route(case.model, facts or case.facts, batch.sequences, images, 0, share, counts)


def test_a_trunk_is_what_all_sequences_share() -> None:
    """1 5 6 | 7, 1 5 6 | 8 5 and 1 5 6: the trunk is 1 5 6, the third has no branch; 2 stands alone, without trunk.

    The row lies depth first: 1 5 6 at 0 to 2, 7 at 3, 8 5 at 4 and 5.
    """
    path_NL = torch.tensor([[0, 1, 2, 3, -1], [0, 1, 2, 4, 5], [0, 1, 2, -1, -1], [6, 7, -1, -1, -1]])
    forked, alone = stages(path_NL)
    assert forked.trunk_GT.tolist() == [[0, 1, 2]]
    assert sorted(forked.branch_BQ.tolist()) == [[3, -1], [4, 5]]
    assert forked.owner_B.tolist() == [0, 0]
    assert alone.trunk_GT.shape[1] == 0
    assert alone.branch_BQ.tolist() == [[6, 7]]


def test_trunks_of_one_length_pass_together_and_each_token_of_a_trunk_once(case: Case) -> None:
    passed: list[int] = []
    layer = case.model.get_decoder().layers[0]
    handle = layer.register_forward_pre_hook(lambda _, inputs: passed.append(inputs[0].shape[0] * inputs[0].shape[1]))
    prompts, answers = [(5, 6, 7), (6, 6, 7)], [(9, 10), (11, 12)]
    rows = [text(*prompt, *answer, scored_from=4) for prompt in prompts for answer in answers]
    score_sequences(case.model, case.facts, build_forest(rows, 0), {}, "fork")
    handle.remove()
    assert passed == [2 * 4, 4 * 2]


def test_layers_may_hand_over_their_arguments_with_keys_and_values() -> None:
    """As those of transformers 5.24 do."""
    key, value = torch.ones(2, 1, 3, 4), torch.zeros(2, 1, 3, 4)
    assert fork.BranchStates().update(key, value, 0, kwargs={"position_ids": None}) == (key, value)


def test_the_cache_goes_by_the_name_that_this_version_has(case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        case.shared()


@given(st.lists(st.lists(st.integers(5, 7), min_size=2, max_size=7), min_size=1, max_size=6))
@settings(max_examples=25)
def test_any_batch_of_texts_scores_as_plain_rows(case: Case, words: list[list[int]]) -> None:
    """Branches of one token, branches within branches, sequences that end where others go on, and repeated ones."""
    rows = [text(*ids) for ids in words]
    shared = score_sequences(case.model, case.facts, build_forest(rows, 0), {}, "fork")
    plain = score_plain(case.model, plain_inputs(rows, {}, 0))
    assert difference(shared, plain) <= 1e-4


def uncopied(path_NL: torch.Tensor) -> list[Stage]:
    """Stages whose branches run one after another on the states that the branch before left."""
    found = []
    for stage in stages(path_NL):
        owners = range(len(stage.trunk_GT)) if stage.trunk_GT.shape[1] else []
        joined = [stage.branch_BQ[stage.owner_B == owner] for owner in owners]
        for owner, rows in zip(owners, joined, strict=True):
            trunk_GT = stage.trunk_GT[owner : owner + 1]
            found.append(Stage(trunk_GT, rows[rows >= 0][None], torch.tensor([0])))
        if not owners:
            found.append(stage)
    return found


def test_states_that_branches_share_are_caught(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: branches one after another on one cache."""
    right = case.shared()
    monkeypatch.setattr(fork, "stages", uncopied)
    assert difference(case.shared(), right) > 1e-2
    choice = choose(case)
    assert choice.route == "plain"
    assert "the fork route does not match plain rows" in choice.reason
    with pytest.raises(ConfigError, match="share is set to fork, but the fork route is not right here"):
        choose(case, share="fork")


@pytest.mark.parametrize("state", ["conv", "recurrent"])
def test_a_state_that_is_lost_is_caught(case: Case, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: branches whose recurrent layers begin anew."""
    if (case.facts.name, state) == ("lfm2_vl", "recurrent"):
        pytest.skip("LFM2 has convolutions alone")
    right, read = case.shared(), fork.BranchStates._read

    def forget(self: fork.BranchStates, name: str, layer: int) -> torch.Tensor | None:
        found = read(self, name, layer)
        return None if name.startswith(state) else found

    monkeypatch.setattr(fork.BranchStates, "_read", forget)
    assert difference(case.shared(), right) > 1e-2


def test_a_mask_cannot_separate_the_branches_and_fork_is_picked(case: Case) -> None:
    choice = choose(case, replace(case.facts, routes=("mask", "fork", "plain")))
    assert choice.route == "fork"
    assert choice.reason.startswith("the mask route")


def test_share_names_the_routes_of_the_family(case: Case) -> None:
    assert choose(case, share="fork").route == "fork"
    with pytest.raises(ConfigError, match=f"the family {case.facts.name} runs by fork or plain"):
        choose(case, share="mask")


def test_reentrant_checkpointing_is_refused(case: Case) -> None:
    with case.training(checkpointing=False):
        case.model.activation_checkpointing_enable({"use_reentrant": True})
        with pytest.raises(ConfigError, match="gradient_checkpointing_kwargs to {use_reentrant: false}"):
            case.shared()


def test_layers_that_are_not_given_the_states_are_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """As would be if transformers renamed the flag that lets checkpointed layers keep their cache."""
    monkeypatch.setattr(fork, "_keeping_states", lambda layers: contextlib.nullcontext())
    with case.training(checkpointing=True), pytest.raises(ConfigError, match="only 0 of 3 did"):
        case.shared()


def test_nothing_of_the_route_stays_in_the_model(case: Case) -> None:
    case.shared()
    layers = case.model.get_decoder().layers
    assert not any(layer._can_checkpoint_with_cache for layer in layers)


def test_a_pass_without_gradients_scores_as_one_with(case: Case) -> None:
    with case.training(checkpointing=True), torch.no_grad():
        shared = case.shared()
    assert difference(shared, case.plain()) <= 1e-4


def test_a_projector_that_reads_maps_of_any_size_stores_nothing(case: Case) -> None:
    """LFM2-VL's is called image by image; what it takes of two images does not fit into one tensor."""
    if case.facts.name != "lfm2_vl":
        pytest.skip("Qwen3.5 projects inside its tower")
    made = copy.deepcopy(case.model)
    made.model.vision_tower.requires_grad_(False)
    spans = [(str(index), count) for index, count in enumerate(case.batch.counts)]
    assert "a map of its own size" in find_storable(made, case.facts, case.batch.image_inputs, spans).reason
    made.model.multi_modal_projector.requires_grad_(False)
    assert find_storable(made, case.facts, case.batch.image_inputs, spans).stage == "features"


def losses(method: str, share: str, parts: Any, folder: Path, **given: Any) -> tuple[list[float], Any]:
    """The loss of each of four steps of a LoRA run, and the trainer."""
    model, processor = parts
    trainer_class, config_class = {
        "sft": (sightline.SFTTrainer, sightline.SFTConfig),
        "dpo": (sightline.DPOTrainer, sightline.DPOConfig),
    }[method]
    config = config_class(
        output_dir=str(folder / share),
        max_steps=4,
        per_device_train_batch_size=3,
        learning_rate=1e-2,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        max_length=None,
        bf16=False,
        disable_tqdm=True,
        share=share,
        **given,
    )
    rows = preference_rows()
    if method == "sft":
        rows = [{"images": r["images"], "prompt": r["prompt"], "completion": r["chosen"]} for r in rows]
    trainer = trainer_class(
        model=copy.deepcopy(model),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        peft_config=LoraConfig(r=4, target_modules=r".*language_model.*(in_proj|in_proj_qkv|q_proj|v_proj|gate_proj)"),
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], trainer


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("name", FORKED)
def test_adapters_stored_features_and_stored_references_train_as_plain_rows(
    name: str, method: str, tmp_path: Path
) -> None:
    parts = saved_family(name, tmp_path / "model")
    given = {"reference_store": "on"} if method == "dpo" else {}
    ours, trainer = losses(method, "fork", parts, tmp_path, feature_store="on", **given)
    theirs, _ = losses(method, "plain", parts, tmp_path, **given)
    assert trainer.route.route == "fork"
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-4
    assert max(ours) - min(ours) > 1e-2, "a loss that does not move proves nothing"


def test_a_trainer_refuses_fork_under_reentrant_checkpointing(tmp_path: Path) -> None:
    parts = saved_family("lfm2_vl", tmp_path / "model")
    settings = {"gradient_checkpointing_kwargs": {"use_reentrant": True}}
    with pytest.raises(ConfigError, match="share is set to fork, but gradient checkpointing needs"):
        losses("sft", "fork", parts, tmp_path, **settings)


def test_gradients_of_adapters_reach_the_trunk(tmp_path: Path) -> None:
    """With frozen embeddings the first layer's states carry a gradient through its adapters alone."""
    made = Case("qwen3_5", tmp_path)
    wrapped = get_peft_model(
        made.model, LoraConfig(r=4, init_lora_weights=False, target_modules=r".*language_model.*(q_proj|in_proj_qkv)")
    )
    theirs = made.gradients(made.plain())
    with made.training(checkpointing=True):
        wrapped.enable_input_require_grads()
        ours = made.gradients(made.shared())
    assert theirs and gradient_error(ours, theirs) <= 1e-3
