"""Fifty optimizer steps of our trainers equal TRL's, and the trajectory that is kept beside this file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset
from peft import LoraConfig

import sightline
import sightline.training
from tests.tiny import preference_rows, tiny_llava, tiny_processor, vqa_rows

STEPS = 50
TOLERANCE = 1e-4
TRAJECTORIES = Path(__file__).with_name("trajectories.json")
CLASSES = {
    "sft full": ("sft", {}, False),
    "sft lora": ("sft", {}, True),
    "dpo sigmoid full": ("dpo", {"loss_type": ["sigmoid"], "beta": 0.5}, False),
    "dpo sigmoid lora": ("dpo", {"loss_type": ["sigmoid"], "beta": 0.5}, True),
    "dpo ipo full": ("dpo", {"loss_type": ["ipo"], "beta": 0.5}, False),
    "dpo ipo lora": ("dpo", {"loss_type": ["ipo"], "beta": 0.5}, True),
}
TRAINERS = {
    ("sft", "trl"): (trl.SFTTrainer, trl.SFTConfig),
    ("sft", "sightline"): (sightline.SFTTrainer, sightline.SFTConfig),
    ("dpo", "trl"): (trl.DPOTrainer, trl.DPOConfig),
    ("dpo", "sightline"): (sightline.DPOTrainer, sightline.DPOConfig),
}


def losses(name: str, library: str, folder: Path) -> list[float]:
    """The loss of each of fifty steps, rows in the dataset's order."""
    method, settings, lora = CLASSES[name]
    trainer_class, config_class = TRAINERS[method, library]
    config = config_class(
        output_dir=str(folder / library),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        learning_rate=1e-3 if lora else 2e-4,
        logging_steps=1,
        logging_strategy="steps",
        save_strategy="no",
        report_to=[],
        max_length=None,
        bf16=False,
        seed=3,
        disable_tqdm=True,
        train_sampling_strategy="sequential",
        **settings,
    )
    rows = as_prompt_completion(vqa_rows(24, 3, seed=1)) if method == "sft" else preference_rows(24, 5, seed=1)
    arguments: dict[str, Any] = {}
    if lora:
        arguments["peft_config"] = LoraConfig(r=4, target_modules=r".*language_model.*(q_proj|v_proj|up_proj)")
    elif method == "dpo":
        arguments["ref_model"] = tiny_llava(1)
    trainer = trainer_class(
        model=tiny_llava(1),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_processor(),
        **arguments,
    )
    if library == "sightline":
        assert trainer.route.route == "mask"
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def as_prompt_completion(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """VQA rows in the columns that TRL reads."""
    return [
        {
            "image": row["image"],
            "prompt": [{"role": "user", "content": row["question"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in rows
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_fifty_steps_equal_trl_and_the_committed_trajectory(name: str, tmp_path: Path) -> None:
    ours, theirs = losses(name, "sightline", tmp_path), losses(name, "trl", tmp_path)
    assert len(ours) == len(theirs) == STEPS
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= TOLERANCE
    if os.environ.get("SIGHTLINE_WRITE_TRAJECTORIES"):
        kept = json.loads(TRAJECTORIES.read_text()) if TRAJECTORIES.exists() else {}
        TRAJECTORIES.write_text(json.dumps({**kept, name: ours}, indent=1) + "\n")
    kept = json.loads(TRAJECTORIES.read_text())[name]
    assert max(abs(a - b) for a, b in zip(ours, kept, strict=True)) <= TOLERANCE
    assert max(ours) - min(ours) > 100 * TOLERANCE, "a loss that does not move proves nothing"
