"""Stored features: the losses of a run without them, a tower that runs once per image, an estimate that is obeyed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from peft import LoraConfig

import sightline
import sightline.training
from sightline.errors import ConfigError
from sightline.runs import cache_folder
from sightline.training.stored_features import Estimate
from tests.tiny import preference_rows, tiny_llava, tiny_processor, vqa_rows

pytestmark = pytest.mark.slow

ADAPTER = {"r": 2, "target_modules": r".*language_model.*(q_proj|v_proj)"}
FROZEN = {"all": ("vision_tower", "multi_modal_projector"), "tower": ("vision_tower",), "nothing": ()}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return cache_folder()


def trainer(folder: Path, frozen: str = "all", method: str = "sft", processor: Any = None, **given: Any) -> Any:
    """Two epochs over 8 rows and 4 images."""
    model = tiny_llava(1)
    arguments: dict[str, Any] = {"peft_config": LoraConfig(**ADAPTER)} if frozen == "adapter" else {}
    for name in FROZEN.get(frozen, ()):
        getattr(model.model, name).requires_grad_(False)
    methods: dict[str, Any] = {
        "sft": (sightline.SFTConfig, sightline.SFTTrainer, vqa_rows(8, 4)),
        "dpo": (sightline.DPOConfig, sightline.DPOTrainer, preference_rows(8, 4)),
    }
    config_class, trainer_class, rows = methods[method]
    config = config_class(
        output_dir=str(folder / "run"),
        report_to=[],
        max_length=None,
        bf16=False,
        gradient_checkpointing=given.pop("gradient_checkpointing", False),
        disable_tqdm=True,
        save_strategy="no",
        logging_steps=1,
        logging_strategy="steps",
        num_train_epochs=2,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        **given,
    )
    return trainer_class(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor or tiny_processor(),
        **arguments,
    )


def losses(trained: Any) -> list[float]:
    trained.train()
    return [entry["loss"] for entry in trained.state.log_history if "loss" in entry]


def tower_images(trained: Any) -> list[int]:
    """How many images pass the tower, call by call, from now on."""
    base = trained.model.get_base_model() if hasattr(trained.model, "get_base_model") else trained.model
    passed: list[int] = []
    base.model.vision_tower.register_forward_hook(lambda _, inputs, output: passed.append(len(output[0])))
    return passed


@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("frozen", ["all", "tower", "adapter"])
def test_losses_equal_those_without_the_store(method: str, frozen: str, tmp_path: Path) -> None:
    without = losses(trainer(tmp_path, frozen, method, feature_store="off"))
    for _ in ("computed", "read"):
        assert losses(trainer(tmp_path, frozen, method, feature_store="on")) == pytest.approx(without, abs=1e-6)
    assert max(without) - min(without) > 1e-4, "a loss that does not move proves nothing"


def test_checkpointed_adapters_store_as_well(tmp_path: Path) -> None:
    without, stored = (
        losses(trainer(tmp_path, "adapter", "dpo", feature_store=choice, gradient_checkpointing=True))
        for choice in ("off", "on")
    )
    assert stored == pytest.approx(without, abs=1e-6)


@pytest.mark.parametrize("frozen", ["all", "tower"])
def test_an_image_passes_the_tower_once_over_epochs_and_runs(frozen: str, tmp_path: Path) -> None:
    first = trainer(tmp_path, frozen, feature_store="on")
    passed = tower_images(first)
    first.train()
    assert sum(passed) == 4
    second = trainer(tmp_path, frozen, feature_store="on")
    passed = tower_images(second)
    second.train()
    assert passed == []


def test_the_projector_still_trains_on_stored_tower_output(tmp_path: Path) -> None:
    trained = trainer(tmp_path, "tower", feature_store="on")
    before = trained.model.model.multi_modal_projector.linear_1.weight.clone()
    trained.train()
    after = trained.model.model.multi_modal_projector.linear_1.weight
    assert float((after - before).detach().abs().max()) > 1e-4


def test_another_processor_or_tower_makes_features_anew(tmp_path: Path, empty_cache: Path) -> None:
    trainer(tmp_path, feature_store="on").train()
    processor = tiny_processor()
    processor.image_processor.image_mean = [0.1, 0.2, 0.3]
    other = trainer(tmp_path, feature_store="on", processor=processor)
    passed = tower_images(other)
    other.train()
    assert sum(passed) == 4
    assert len(list(empty_cache.glob("features/*"))) == 2


def test_a_damaged_shard_is_rebuilt_with_a_message(
    tmp_path: Path, empty_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = losses(trainer(tmp_path, feature_store="on"))
    for shard in empty_cache.glob("features/*/*.safetensors"):
        shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    with caplog.at_level(logging.WARNING, logger="sightline"):
        assert losses(trainer(tmp_path, feature_store="on")) == pytest.approx(whole, abs=1e-6)
    assert "is damaged" in caplog.text


def test_on_says_why_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="feature_store is on, but the vision tower trains. Set feature_store to"):
        trainer(tmp_path, "nothing", feature_store="on")
    with pytest.raises(ConfigError, match="expected one of auto, on, off; got 'maybe'"):
        trainer(tmp_path, feature_store="maybe")


def test_the_estimate_is_printed_and_auto_obeys_it(
    tmp_path: Path, empty_cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path, max_steps=1).train()
    assert "Features are not stored: 4 images of 0.00 MB" in capsys.readouterr().err
    assert not list(empty_cache.glob("features/*/*.safetensors"))
    monkeypatch.setattr("sightline.training.stored_features.measure_image", lambda *_: (1.0, 100))
    trainer(tmp_path).train()
    assert "Features are stored: 4 images" in capsys.readouterr().err
    assert list(empty_cache.glob("features/*/*.safetensors"))


class TestEstimate:
    def test_seconds_saved_are_computing_less_reading_and_writing(self) -> None:
        """100 images, 3 passes, 20 MB and 0.5 s each: 200 computations saved, 400 transfers of 0.1 s."""
        assert Estimate(100, 0, 3, 20e6, 0.5).saved_seconds == pytest.approx(200 * 0.5 - 400 * 0.1)

    def test_one_pass_saves_nothing_unless_the_images_are_stored(self) -> None:
        assert not Estimate(100, 0, 1, 1e6, 0.5).pays
        assert Estimate(100, 100, 1, 1e6, 0.5).pays

    def test_what_exceeds_the_limit_does_not_pay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SIGHTLINE_CACHE_GIB", "0.001")
        assert not Estimate(100, 0, 5, 1e6, 0.5).pays
