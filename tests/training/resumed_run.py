"""A run over several passes, and the same run resumed in a later one: a script for one process or many."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset

import sightline
import sightline.training
from sightline.data.formats.columns import to_preference_columns, to_sft_columns
from sightline.data.mixtures import blend
from tests.processes import end_beside_others
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor

STEPS = 14
STOP = 10  # in the third pass over 16 rows, in batches of 4


def rows_of(kind: str, method: str) -> Any:
    """Sixteen rows, or twelve packed: of five images, of as many images as rows, streamed, or of two streams."""
    pairs = preference_rows(16, 16 if kind in ("distinct", "stream", "mixture") else 5)
    if method == "sft":
        pairs = [{"images": row["images"], "prompt": row["prompt"], "completion": row["chosen"]} for row in pairs]
    dataset = Dataset.from_list(pairs)
    if kind == "stream":
        return dataset.to_iterable_dataset().shuffle(seed=1, buffer_size=6)
    if kind == "mixture":
        to_columns = to_sft_columns if method == "sft" else to_preference_columns
        parts = [dataset.select(range(9)), dataset.select(range(9, 16))]
        return blend([to_columns(part.to_iterable_dataset(), "part") for part in parts], [0.5, 0.5], 3)
    return dataset


def train(folder: Path, kind: str, method: str, rows_a_step: int, resumed: bool) -> dict[int, float]:
    """The loss of each step; also in the folder's `logged.json`, or `resumed.json`."""
    config, kind_of_trainer = (
        (sightline.SFTConfig, sightline.SFTTrainer) if method == "sft" else (sightline.DPOConfig, sightline.DPOTrainer)
    )
    settings: dict[str, Any] = {**SHORT_RUN, "save_strategy": "steps", "save_steps": STOP, "use_cpu": True}
    settings |= {"packing": True, "max_length": 60} if kind == "packed" else {}
    settings |= {"accelerator_config": {"split_batches": False}}
    arguments = {"ref_model": tiny_llava(2)} if method == "dpo" else {}
    trainer = kind_of_trainer(
        model=tiny_llava(1),
        args=config(
            output_dir=str(folder), per_device_train_batch_size=rows_a_step, max_steps=STEPS, learning_rate=1e-3,
            **settings,
        ),
        train_dataset=rows_of(kind, method),
        processing_class=tiny_processor(),
        **arguments,
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{STOP}") if resumed else None)
    losses = {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}
    if trainer.is_world_process_zero():
        (folder / ("resumed.json" if resumed else "logged.json")).write_text(json.dumps(losses), encoding="utf-8")
    return losses


if __name__ == "__main__":
    train(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "resumed")
    end_beside_others()
