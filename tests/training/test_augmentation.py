"""Augmented training: reproducible at any number of workers and after resuming, shared as before, never evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

import sightline
import sightline.training
from sightline.errors import ConfigError
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor, vqa_rows

pytestmark = pytest.mark.slow


def trainer(folder: Path, method: str = "sft", collator: Any = None, **given: Any) -> Any:
    """Two epochs over 8 rows and 4 images; evaluation on the first 4 rows."""
    methods: dict[str, Any] = {
        "sft": (sightline.SFTConfig, sightline.SFTTrainer, vqa_rows(8, 4)),
        "dpo": (sightline.DPOConfig, sightline.DPOTrainer, preference_rows(8, 4)),
    }
    config_class, trainer_class, rows = methods[method]
    settings: dict[str, Any] = {
        **SHORT_RUN, "output_dir": str(folder / "run"), "num_train_epochs": 2, "per_device_train_batch_size": 4,
        "learning_rate": 1e-3, "augmentation": "light",
    }  # fmt: skip
    if method == "dpo":
        settings["image_margin_rows"] = 0
    dataset = Dataset.from_list(rows)
    return trainer_class(
        model=tiny_llava(1),
        args=config_class(**settings | given),
        data_collator=collator,
        train_dataset=dataset,
        eval_dataset=dataset.select(range(4)),
        processing_class=tiny_processor(),
        **{"ref_model": tiny_llava(1)} if method == "dpo" else {},
    )


def losses(trained: Any, **how: Any) -> list[float]:
    trained.train(**how)
    return [entry["loss"] for entry in trained.state.log_history if "loss" in entry]


def pixels(loader: Any) -> list[torch.Tensor]:
    return [batch["pixel_values"] for batch in loader]


def test_none_makes_the_batches_of_the_trainer_itself(tmp_path: Path) -> None:
    plain = trainer(tmp_path, augmentation="none")
    assert plain.augmenting is None
    assert plain.get_train_dataloader().collate_fn.collate is plain.data_collator


def test_neither_workers_nor_a_resume_change_what_is_drawn(tmp_path: Path) -> None:
    whole = losses(trainer(tmp_path, save_strategy="steps", save_steps=3))
    workers = losses(trainer(tmp_path, dataloader_num_workers=2, dataloader_persistent_workers=True))
    resumed = losses(trainer(tmp_path), resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert workers == pytest.approx(whole, abs=1e-6) != losses(trainer(tmp_path, augmentation="none"))
    assert resumed == pytest.approx(whole, abs=1e-5) and len(whole) == 4


def test_each_epoch_shows_other_pictures(tmp_path: Path) -> None:
    trained = trainer(tmp_path, train_sampling_strategy="sequential")
    epochs = []
    for epoch in (0, 1, 0):
        trained.augmenting.set_epoch(epoch)
        epochs.append(torch.cat(pixels(trained.get_train_dataloader())))
    assert torch.equal(epochs[0], epochs[2]) and not torch.equal(epochs[0], epochs[1])


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_evaluation_sees_pictures_as_they_are(method: str, tmp_path: Path) -> None:
    plain, augmented = (trainer(tmp_path, method, augmentation=policy) for policy in ("none", "light"))
    augmented.augmenting.set_epoch(1)
    for one, other in zip(pixels(plain.get_eval_dataloader()), pixels(augmented.get_eval_dataloader()), strict=True):
        assert torch.equal(one, other)
    assert plain.evaluate()["eval_loss"] == augmented.evaluate()["eval_loss"]


@pytest.mark.parametrize(
    ("method", "given"), [("sft", {}), ("dpo", {}), ("dpo", {"loss_type": "mdpo"}), ("sft", {"packing": True})]
)
def test_batches_share_as_much_as_plain_ones(method: str, given: dict[str, Any], tmp_path: Path) -> None:
    plain, augmented = (trainer(tmp_path, method, augmentation=policy, **given) for policy in ("none", "light"))
    for one, other in zip(plain.get_train_dataloader(), augmented.get_train_dataloader(), strict=True):
        assert len(one["image_spans"]) == len(other["image_spans"])
        assert torch.equal(one["forest"].ids_RL, other["forest"].ids_RL)
        assert torch.equal(one["forest"].reach_RL, other["forest"].reach_RL)
        assert not torch.equal(one["pixel_values"], other["pixel_values"])


def test_stores_are_off_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = trainer(tmp_path, "dpo")
    assert "Augmentation light: training pictures change in each epoch, so that neither" in capsys.readouterr().err
    assert trained.data_collator.references is None
    for store, what in (("feature_store", "pictures in each epoch"), ("reference_store", "references with them")):
        with pytest.raises(ConfigError, match=f"{store} is on, but augmentation light changes the .*{what}.* Set"):
            trainer(tmp_path, "dpo", **{store: "on"})


def test_augmentation_without_pictures_to_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="augmentation: expected none, since a data_collator was given .*; got light"):
        trainer(tmp_path, collator=lambda rows: {})
    with pytest.raises(ConfigError, match="augmentation: expected one of none"):
        trainer(tmp_path, augmentation="mirror")
