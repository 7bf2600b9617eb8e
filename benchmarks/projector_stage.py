"""Training a projector with and without stored features: frozen tower and decoder, 5 epochs over 200 images."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from arms import OURS, Arm, compare, report
from costs import projector_limit
from datasets import Dataset
from shapes import caption_rows, llava_heavy_tower, processor

import sightline

IMAGES = 200
ROUNDS = 5  # of so many images each, five epochs over them; one more to warm up
EPOCHS = 5
BATCH = 8
WORDS = 12
WITHOUT = "sightline without the store"


def main() -> None:
    """Five rounds of five epochs over 40 images each, the store empty at the start of each round."""
    os.environ["SIGHTLINE_CACHE"] = tempfile.mkdtemp()
    size = IMAGES // ROUNDS
    rows = caption_rows(IMAGES + BATCH, WORDS)
    arms = [
        Arm(WITHOUT, _trainer(rows, "off"), epochs=EPOCHS, batch_rows=BATCH),
        Arm(OURS, _trainer(rows, "on"), epochs=EPOCHS, batch_rows=BATCH),
    ]
    rounds = [range(IMAGES, IMAGES + BATCH), *(range(start, start + size) for start in range(0, IMAGES, size))]
    limit = projector_limit(llava_heavy_tower(), prompt=196 + 8, answer=WORDS + 1, epochs=EPOCHS)
    file = Path(__file__).parent / "results/projector_stage.json"
    report(compare("projector_stage", arms, rounds, {WITHOUT: limit}, tolerance=1e-4), file)


def _trainer(rows: list, feature_store: str) -> Any:
    model = llava_heavy_tower(0).requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    config = sightline.SFTConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=BATCH,
        num_train_epochs=EPOCHS,
        learning_rate=1e-3,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        feature_store=feature_store,
    )
    return sightline.SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor(image_size=224, patch_size=16),
    )


if __name__ == "__main__":
    main()
