"""Ten SFT and ten DPO steps of each family equal TRL's, with images of several sizes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset

import sightline
import sightline.training
from sightline.models.families import FAMILIES
from tests.families.case import preference_rows
from tests.families.tiny_families import BUILDERS, saved_family

STEPS = 10
TRAINERS = {
    ("sft", "trl"): (trl.SFTTrainer, trl.SFTConfig),
    ("sft", "sightline"): (sightline.SFTTrainer, sightline.SFTConfig),
    ("dpo", "trl"): (trl.DPOTrainer, trl.DPOConfig),
    ("dpo", "sightline"): (sightline.DPOTrainer, sightline.DPOConfig),
}


def losses(method: str, library: str, model: Any, processor: Any, folder: Path) -> list[float]:
    """The loss of each step, rows in the dataset's order, gradient checkpointing as TRL sets it."""
    trainer_class, config_class = TRAINERS[method, library]
    config = config_class(
        output_dir=str(folder / library),
        max_steps=STEPS,
        per_device_train_batch_size=2,
        learning_rate=1e-4,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        max_length=None,
        bf16=False,
        disable_tqdm=True,
        train_sampling_strategy="sequential",
    )
    rows = preference_rows()
    if method == "sft":
        rows = [{"images": r["images"], "prompt": r["prompt"], "completion": r["chosen"]} for r in rows]
    arguments = {"ref_model": copy.deepcopy(model)} if method == "dpo" else {}
    trainer = trainer_class(
        model=copy.deepcopy(model),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        **arguments,
    )
    if library == "sightline":
        assert trainer.route.route == FAMILIES[model.config.model_type].routes[0], trainer.route.reason
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_ten_steps_equal_trl(name: str, method: str, tmp_path: Path) -> None:
    model, processor = saved_family(name, tmp_path / "model")
    ours = losses(method, "sightline", model, processor, tmp_path)
    theirs = losses(method, "trl", model, processor, tmp_path)
    assert len(ours) == len(theirs) == STEPS
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-4
    assert max(ours) - min(ours) > 1e-2, "a loss that does not move proves nothing"
