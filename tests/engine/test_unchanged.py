"""A watched model: whatever would change what it computes is seen, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from sightline.engine.feature_store import FEATURES, find_storable
from sightline.engine.unchanged import Unchanged
from sightline.models.families import family_of
from tests.tiny import tiny_llava, tiny_processor

Change = Callable[[Any], object]


def watched(**given: Any) -> tuple[Any, Unchanged]:
    """A model with a frozen tower and projector, watched without its decoder."""
    model = tiny_llava()
    model.model.vision_tower.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(False)
    return model, Unchanged(model, [model.get_decoder(), model.lm_head], frozen=True, **given)


def projector(model: Any) -> Any:
    return model.model.multi_modal_projector


def load(model: Any, assign: bool = False) -> None:
    model.load_state_dict(tiny_llava(5).state_dict(), assign=assign)


@torch.no_grad()
def step(model: Any) -> None:
    projector(model).linear_1.weight += 0.1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: model.requires_grad_(True), "model.vision_tower.embeddings.class_embedding trains"),
        (lambda model: projector(model).linear_2.bias.requires_grad_(True), "projector.linear_2.bias trains"),
        (load, "has other values"),
        (lambda model: load(model, assign=True), "class_embedding"),
        (step, "projector.linear_1.weight has other values"),
        (lambda model: setattr(projector(model), "act", torch.nn.ReLU()), "projector.act is another module"),
        (lambda model: model.model.vision_tower.embeddings.position_ids.add_(1), "position_ids has other values"),
    ],
)
def test_a_change_is_seen_before_the_next_batch(change: Change, reason: str) -> None:
    model, watch = watched()
    assert watch.reason() == watch.reason(thorough=True) == ""
    change(model)
    found = watch.reason()
    assert found and reason in found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: projector(model).linear_1.weight.data.mul_(2), "linear_1.weight has other values"),
        (lambda model: setattr(model.config, "vision_feature_layer", -2), "settings"),
        (lambda model: setattr(model.model.vision_tower.pre_layrnorm, "eps", 0.1), "settings"),
    ],
)
def test_what_torch_does_not_count_is_seen_at_an_epochs_start(change: Change, reason: str) -> None:
    model, watch = watched()
    change(model)
    assert reason in watch.reason(thorough=True)


def same_values_again(model: Any) -> None:
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})


@torch.no_grad()
def decoder_step(model: Any) -> None:
    for parameter in model.get_decoder().parameters():
        parameter += 0.1


@pytest.mark.parametrize(
    "change",
    [
        same_values_again,
        decoder_step,
        lambda model: model.train(),
        lambda model: model.eval(),
        lambda model: model.gradient_checkpointing_enable(),
        lambda model: model.get_decoder().set_attn_implementation("eager"),
        lambda model: setattr(model.config, "use_cache", False),
        lambda model: model.get_image_features(torch.zeros(1, 3, 32, 32)),
    ],
)
def test_what_changes_no_feature_is_no_change(change: Change) -> None:
    model, watch = watched()
    change(model)
    assert watch.reason() == watch.reason(thorough=True) == ""


def test_an_adapter_that_trains_does_not_change_its_base() -> None:
    model = get_peft_model(tiny_llava(), LoraConfig(r=2, target_modules=["q_proj"], bias="none"))
    watch = Unchanged(model.get_base_model(), adapters=["default"])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1
    with model.disable_adapter():
        assert watch.reason(thorough=True) == ""
    with torch.no_grad():
        model.get_base_model().lm_head.weight += 0.1
    assert watch.reason() == "lm_head.weight has other values"


def test_looking_takes_less_than_a_millisecond_for_hundreds_of_tensors() -> None:
    _, watch = watched()
    watch.reason()
    start = time.perf_counter()
    for _ in range(10):
        watch.reason()
    assert (time.perf_counter() - start) / 10 < 0.005  # about 0.03 ms for 60 tensors on an idle core


def dropout_in_the_projector(model: Any) -> None:
    projector(model).act = torch.nn.Sequential(projector(model).act, torch.nn.Dropout(0.1))


def batch_norm(model: Any) -> None:
    projector(model).act = torch.nn.BatchNorm1d(16)


def attention_dropout(model: Any) -> None:
    model.model.vision_tower.encoder.layers[0].self_attn.dropout = 0.2


def adapted_tower(model: Any) -> None:
    get_peft_model(model, LoraConfig(r=2, target_modules=r".*vision_tower.*q_proj"))
    model.requires_grad_(False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (dropout_in_the_projector, "drops at random (model.multi_modal_projector.act.1 p 0.1)"),
        (batch_norm, "norms by batch"),
        (attention_dropout, "drops at random (model.vision_tower.encoder.layers.0.self_attn dropout 0.2)"),
        (adapted_tower, "carries an adapter"),
        (lambda model: None, ""),
    ],
)
def test_features_that_come_out_otherwise_at_another_time_are_not_stored(change: Change, reason: str) -> None:
    model, _ = watched()
    change(model)
    facts = family_of(model)
    assert facts is not None
    found = find_storable(model, facts, {"pixel_values": torch.zeros(1, 3, 32, 32)}, [("a", 16)])
    assert (reason in found.reason and not found.stage) if reason else found.stage == FEATURES


def test_a_processor_is_watched_where_one_is_given() -> None:
    processor = tiny_processor()
    _, watch = watched(processor=processor)
    assert watch.reason(thorough=True) == ""
    processor.image_processor.rescale_factor = 0.5
    assert watch.reason(thorough=True) == "settings of the processor changed"


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int8, torch.bool, torch.float64])
@pytest.mark.parametrize("length", [0, 1, 3, 8, 37])
def test_each_value_of_a_tensor_counts_wherever_it_lies(kind: torch.dtype, length: int) -> None:
    model = torch.nn.Module()
    whole = torch.ones(length + 1).to(kind)
    model.register_buffer("part", whole[1:])  # at an address that is no whole word
    model.config = tiny_llava().config
    watch = Unchanged(model)
    for place in range(length):
        value = whole[place + 1].clone()
        whole.data[place + 1] = 0
        assert watch.reason(thorough=True) == "part has other values"
        whole.data[place + 1] = value
    assert watch.reason(thorough=True) == ""
