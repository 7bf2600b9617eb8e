"""DPO step against TRL 1.16: 80M LLaVA shape, 576 image tokens, answers of 40 to 60 tokens, full fine-tuning."""

from __future__ import annotations

import tempfile
from pathlib import Path

import trl
from arms import OURS, TRL, TRL_LABELLED, Arm, compare, report
from costs import dpo_limits
from datasets import Dataset
from shapes import llava_80m, preference_rows, processor

import sightline

PAIRS = 2
ROUNDS = 6


def main() -> None:
    """Six rounds of one step per arm, the first a warm-up."""
    rows = preference_rows(PAIRS * ROUNDS)
    arms = [
        Arm(TRL, _trainer(trl.DPOTrainer, trl.DPOConfig, rows)),
        Arm(TRL_LABELLED, _trainer(trl.DPOTrainer, trl.DPOConfig, rows), labelled_only=True),
        Arm(OURS, _trainer(sightline.DPOTrainer, sightline.DPOConfig, rows)),
    ]
    rounds = [rows[start : start + PAIRS] for start in range(0, len(rows), PAIRS)]
    as_it_is, labelled = dpo_limits(llava_80m(), prompt=576 + 16, answer=51, padded=57, pairs=PAIRS)
    limits = {TRL: as_it_is, TRL_LABELLED: labelled}
    report(compare("dpo_step", arms, rounds, limits, tolerance=1e-4), Path(__file__).parent / "results/dpo_step.json")


def _trainer(trainer_class: type, config_class: type, rows: list) -> trl.DPOTrainer:
    config = config_class(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PAIRS,
        learning_rate=1e-5,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
    )
    return trainer_class(
        model=llava_80m(0),
        ref_model=llava_80m(1),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor(),
    )


if __name__ == "__main__":
    main()
