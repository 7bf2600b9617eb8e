"""SFT on 8 short questions per image against TRL 1.16: 80M LLaVA shape, 576 image tokens, full fine-tuning."""

from __future__ import annotations

import tempfile
from pathlib import Path

import trl
from arms import OURS, TRL, TRL_LABELLED, Arm, compare, report
from costs import sft_limits
from datasets import Dataset
from shapes import llava_80m, processor, question_rows

import sightline

IMAGES = 1
QUESTIONS = 8
ROUNDS = 4


def main() -> None:
    """Four rounds of one step over the same 8 rows per arm, the first a warm-up."""
    rows = question_rows(IMAGES * ROUNDS, QUESTIONS)
    arms = [
        Arm(TRL, _trainer(trl.SFTTrainer, trl.SFTConfig, rows)),
        Arm(TRL_LABELLED, _trainer(trl.SFTTrainer, trl.SFTConfig, rows), labelled_only=True),
        Arm(OURS, _trainer(sightline.SFTTrainer, sightline.SFTConfig, rows)),
    ]
    size = IMAGES * QUESTIONS
    rounds = [range(start, start + size) for start in range(0, len(rows), size)]
    as_it_is, labelled = sft_limits(llava_80m(), prompt=576 + 4, branch=14, answer=3, branches=QUESTIONS)
    limits = {TRL: as_it_is, TRL_LABELLED: labelled}
    file = Path(__file__).parent / "results/sft_questions.json"
    report(compare("sft_questions", arms, rounds, limits, tolerance=1e-4), file)


def _trainer(trainer_class: type, config_class: type, rows: list) -> trl.SFTTrainer:
    config = config_class(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=IMAGES * QUESTIONS,
        learning_rate=1e-5,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
    )
    return trainer_class(
        model=llava_80m(0), args=config, train_dataset=Dataset.from_list(rows), processing_class=processor()
    )


if __name__ == "__main__":
    main()
