"""A model that changes under its stores: losses as without any, with a word; values of another model are not taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback

import sightline
import sightline.training
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor, vqa_rows

pytestmark = pytest.mark.slow

Change = Callable[[Any], object]
DECODER = {"r": 2, "target_modules": r".*language_model.*(q_proj|v_proj)"}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


class AtEpoch(TrainerCallback):
    """Changes the model when its second epoch begins."""

    def __init__(self, change: Change) -> None:
        self.change = change

    def on_epoch_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.epoch and state.epoch >= 1:
            self.change(model.get_base_model() if hasattr(model, "get_base_model") else model)


class AtStep(AtEpoch):
    """Changes the model in the middle of its second epoch."""

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Not yet."""

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == 3:
            self.change(model.get_base_model() if hasattr(model, "get_base_model") else model)


def frozen_llava() -> Any:
    model = tiny_llava(1)
    model.model.vision_tower.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(False)
    return model


def trainer(folder: Path, method: str = "sft", model: Any = None, optimized: str = "all", **given: Any) -> Any:
    """Three epochs of two steps; an optimizer that has all parameters, frozen ones among them."""
    methods: dict[str, Any] = {
        "sft": (sightline.SFTConfig, sightline.SFTTrainer, vqa_rows(8, 4)),
        "dpo": (sightline.DPOConfig, sightline.DPOTrainer, preference_rows(8, 4)),
    }
    config_class, trainer_class, rows = methods[method]
    names = ("callbacks", "ref_model", "peft_config")
    arguments: dict[str, Any] = {name: given.pop(name) for name in names if name in given}
    model = model or frozen_llava()
    if optimized == "all":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        arguments["optimizers"] = (optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0))
    more = {"image_margin_rows": 0} if method == "dpo" else {}
    config = config_class(
        output_dir=str(folder / "run"), num_train_epochs=3, per_device_train_batch_size=4, learning_rate=1e-2,
        **SHORT_RUN, **more, **given,
    )  # fmt: skip
    return trainer_class(
        model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tiny_processor(), **arguments
    )


def losses(trained: Any) -> list[float]:
    trained.train()
    return [entry["loss"] for entry in trained.state.log_history if "loss" in entry]


def unfreeze(model: Any) -> None:
    model.model.vision_tower.requires_grad_(True)
    model.model.multi_modal_projector.requires_grad_(True)


def load(model: Any) -> None:
    model.load_state_dict(tiny_llava(5).state_dict())


def write_past_torch(model: Any) -> None:
    model.model.multi_modal_projector.linear_1.weight.data.mul_(1.5)


def see_another_layer(model: Any) -> None:
    model.config.vision_feature_layer = -2


@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("change", [unfreeze, load, write_past_torch, see_another_layer])
def test_a_callback_that_changes_the_tower_ends_the_feature_store(
    method: str, change: Change, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = []
    for store in ("off", "on"):
        trained = trainer(tmp_path, method, callbacks=[AtEpoch(change)], feature_store=store)
        with caplog.at_level(logging.WARNING, logger="sightline"):
            runs.append((losses(trained), trained.model.model.multi_modal_projector.linear_1.weight.detach().clone()))
    assert runs[1][0] == pytest.approx(runs[0][0], abs=1e-6)
    torch.testing.assert_close(runs[1][1], runs[0][1])
    assert caplog.text.count("Stored features are used no more, since ") == 1


@pytest.mark.parametrize("change", [unfreeze, load])
def test_a_change_in_the_middle_of_an_epoch_ends_it_too(change: Change, tmp_path: Path) -> None:
    without, with_store = (
        losses(trainer(tmp_path, callbacks=[AtStep(change)], feature_store=store)) for store in ("off", "on")
    )
    assert with_store == pytest.approx(without, abs=1e-6)


@pytest.mark.parametrize("change", [unfreeze, load, write_past_torch, see_another_layer])
def test_a_change_between_making_the_trainer_and_training_ends_it(change: Change, tmp_path: Path) -> None:
    runs = []
    for store in ("off", "on"):
        trained = trainer(tmp_path, feature_store=store)
        change(trained.model)
        runs.append(losses(trained))
    assert runs[1] == pytest.approx(runs[0], abs=1e-6)


def test_what_a_changed_tower_gives_is_not_stored_under_the_old_key(tmp_path: Path) -> None:
    without = losses(trainer(tmp_path, feature_store="off"))
    losses(trainer(tmp_path, callbacks=[AtStep(load)], feature_store="on"))
    assert losses(trainer(tmp_path, feature_store="on")) == pytest.approx(without, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        see_another_layer,
        lambda model: setattr(model.model.vision_tower.pre_layrnorm, "eps", 0.1),
    ],
)
def test_features_of_the_same_weights_under_other_settings_are_not_taken(change: Change, tmp_path: Path) -> None:
    losses(trainer(tmp_path, feature_store="on"))
    runs = []
    for store in ("off", "on"):
        model = frozen_llava()
        change(model)
        runs.append(losses(trainer(tmp_path, model=model, feature_store=store)))
    assert runs[1] == pytest.approx(runs[0], abs=1e-6)


def other_rope(model: Any) -> None:
    model.config.text_config.rope_parameters["rope_theta"] = 100.0
    rotary = model.model.language_model.rotary_emb
    model.model.language_model.rotary_emb = type(rotary)(model.config.text_config)


@pytest.mark.parametrize(
    "change", [other_rope, lambda model: setattr(model.model.language_model.norm, "variance_epsilon", 1.0)]
)
def test_references_of_the_same_weights_under_other_settings_are_not_taken(change: Change, tmp_path: Path) -> None:
    losses(trainer(tmp_path, "dpo", reference_store="on"))
    model = frozen_llava()
    change(model)
    first = losses(trainer(tmp_path, "dpo", model=model, reference_store="on"))[0]
    assert first == pytest.approx(0.6931472, abs=1e-5), "a policy equals its own reference before the first step"


def move_all(model: Any) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora" not in name:
                parameter *= 1.05


@pytest.mark.parametrize("callback", [AtEpoch, AtStep])
def test_a_base_that_moves_under_its_adapter_ends_stored_references(
    callback: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = []
    for store in ("off", "on"):
        adapter = LoraConfig(**DECODER)
        given = {"peft_config": adapter, "callbacks": [callback(move_all)], "reference_store": store}
        with caplog.at_level(logging.WARNING, logger="sightline"):
            runs.append(losses(trainer(tmp_path, "dpo", optimized="adapter", **given)))
    assert runs[1] == pytest.approx(runs[0], abs=1e-6)
    assert caplog.text.count("Stored references are used no more, since ") == 1


def test_biases_that_train_with_an_adapter_are_part_of_its_reference(tmp_path: Path) -> None:
    def run(store: str) -> list[float]:
        adapter = LoraConfig(**{**DECODER, "target_modules": r".*vision_tower.*(q_proj|v_proj)", "bias": "all"})
        return losses(trainer(tmp_path, "dpo", optimized="adapter", peft_config=adapter, reference_store=store))

    assert run("auto") == pytest.approx(run("off"), abs=1e-6)


def test_a_reference_model_that_is_moved_or_replaced_is_asked_again(tmp_path: Path) -> None:
    def moved(store: str) -> list[float]:
        reference = tiny_llava(2)
        return losses(
            trainer(
                tmp_path,
                "dpo",
                ref_model=reference,
                callbacks=[AtEpoch(lambda _: load(reference))],
                reference_store=store,
            )  # fmt: skip
        )

    def replaced(store: str) -> list[float]:
        trained = trainer(tmp_path, "dpo", ref_model=tiny_llava(2), reference_store=store)
        trained.ref_model.load_state_dict(tiny_llava(3).state_dict())
        return losses(trained)

    assert moved("auto") == pytest.approx(moved("off"), abs=1e-6)
    assert replaced("auto") == pytest.approx(replaced("off"), abs=1e-6)


def test_a_frozen_adapter_in_the_tower_is_off_where_it_makes_the_reference(tmp_path: Path) -> None:
    def run(share: str) -> list[float]:
        model = frozen_llava()
        adapted = get_peft_model(
            model, LoraConfig(r=2, target_modules=r".*(language_model|vision_tower).*(q_proj|v_proj)")
        )
        torch.manual_seed(0)
        for name, parameter in adapted.named_parameters():
            if "lora" in name:
                torch.nn.init.normal_(parameter, std=0.5)
                parameter.requires_grad_("language_model" in name)
        return losses(trainer(tmp_path, "dpo", model=adapted, optimized="adapter", share=share, reference_store="off"))

    assert run("auto") == pytest.approx(run("plain"), abs=1e-5)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_processor_that_is_set_otherwise_ends_what_was_stored_of_its_pictures(
    method: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = []
    for store in ("off", "on"):
        stores = {"feature_store": store, **({"reference_store": store} if method == "dpo" else {})}
        trained = trainer(tmp_path, method, **({"peft_config": LoraConfig(**DECODER)} if method == "dpo" else {}),
                          optimized="adapter", **stores)  # fmt: skip
        trained.processing_class.image_processor.image_mean = [0.1, 0.2, 0.3]
        with caplog.at_level(logging.WARNING, logger="sightline"):
            runs.append(losses(trained))
    assert runs[1] == pytest.approx(runs[0], abs=1e-6)
    assert "since settings of the processor changed" in caplog.text
