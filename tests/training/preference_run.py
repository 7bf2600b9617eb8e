"""A short DPO run with lists of rejected answers and mDPO's terms, to be started in one process or in several."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset

import sightline
import sightline.training
from tests.processes import end_beside_others
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor

METRICS = ("loss", "rewards/margins", "rewards/conditional_margins", "rewards/image_margin")


def train(folder: Path, rows_per_process: int, reference_store: str, augmentation: str) -> list[dict[str, float]]:
    """What four steps logged, and in the folder's `logged.json`."""
    rows: list[dict[str, Any]] = preference_rows(16, 4)
    for row in rows:
        row["rejected"] = [row["rejected"], [{"role": "assistant", "content": "no"}]]
    trainer = sightline.DPOTrainer(
        model=tiny_llava(1),
        ref_model=tiny_llava(2),
        args=sightline.DPOConfig(
            output_dir=str(folder),
            **SHORT_RUN,
            max_steps=4,
            per_device_train_batch_size=rows_per_process,
            learning_rate=1e-3,
            train_sampling_strategy="sequential",
            use_cpu=True,
            loss_type="mdpo",
            reference_store=reference_store,
            augmentation=augmentation,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_processor(),
    )
    trainer.train()
    logged = [{name: entry[name] for name in METRICS} for entry in trainer.state.log_history if "loss" in entry]
    if trainer.is_world_process_zero():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "logged.json").write_text(json.dumps(logged), encoding="utf-8")
    return logged


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
    end_beside_others()
