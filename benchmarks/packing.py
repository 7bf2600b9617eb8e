"""Packed SFT on ragged captions of 5 to 200 tokens against TRL 1.16: 60M Qwen2.5-VL shape, images of 5 sizes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import trl
from arms import OURS, TRL, TRL_LABELLED, Arm, compare, report
from costs import Example, packing_limits
from datasets import Dataset
from shapes import qwen_60m, qwen_processor, ragged_caption_rows

import sightline

EXAMPLES = 24  # of one step
ROUNDS = 4
TRL_BATCH = 8  # padded rows
PACKED_BATCH = 4  # packed rows
ROW_TOKENS = 512


def main() -> None:
    """Four rounds of one step over the same 24 examples per arm, gradients accumulated, the first a warm-up."""
    rows = ragged_caption_rows(EXAMPLES)
    ours = _trainer(sightline.SFTTrainer, sightline.SFTConfig, rows, PACKED_BATCH, packing=True, max_length=ROW_TOKENS)
    packed = range(len(ours.train_dataset))
    arms = [
        Arm(TRL, _trainer(trl.SFTTrainer, trl.SFTConfig, rows, TRL_BATCH), batch_rows=TRL_BATCH, accumulated=True),
        Arm(
            TRL_LABELLED,
            _trainer(trl.SFTTrainer, trl.SFTConfig, rows, TRL_BATCH),
            labelled_only=True,
            batch_rows=TRL_BATCH,
            accumulated=True,
        ),
        Arm(OURS, ours, batch_rows=PACKED_BATCH, packed_rows=packed, accumulated=True),
    ]
    examples = _examples(arms[0].trainer)
    limits = dict(zip((TRL, TRL_LABELLED), packing_limits(qwen_60m(), examples, TRL_BATCH), strict=True))
    comparisons = compare("packing", arms, [range(EXAMPLES)] * ROUNDS, limits, tolerance=1e-4)
    _print_tokens(examples, comparisons)
    report(comparisons, Path(__file__).parent / "results/packing.json")


def _trainer(trainer_class: type, config_class: type, rows: list, batch: int, **given: Any) -> trl.SFTTrainer:
    settings = {"max_length": None, **given}
    config = config_class(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=batch,
        learning_rate=1e-5,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        **settings,
    )
    return trainer_class(
        model=qwen_60m(0), args=config, train_dataset=Dataset.from_list(rows), processing_class=qwen_processor()
    )


def _examples(trainer: trl.SFTTrainer) -> list[Example]:
    """Tokens of each row, from TRL's own batch of it."""
    image = trainer.model.config.image_token_id
    examples = []
    for row in trainer.train_dataset:
        batch = trainer.data_collator([row])
        answer = int((batch["labels"] >= 0).sum())
        examples.append(Example(batch["input_ids"].shape[1], int((batch["input_ids"] == image).sum()), answer))
    return examples


def _print_tokens(examples: list[Example], comparisons: list) -> None:
    """How much of TRL's batches is padding, and how many useful tokens each trainer reads in a second."""
    useful = sum(example.length for example in examples)
    padded = sum(
        len(batch) * max(example.length for example in batch)
        for batch in (examples[start : start + TRL_BATCH] for start in range(0, len(examples), TRL_BATCH))
    )
    print(f"packing: {useful:,} useful tokens of {padded:,} in TRL's batches, {1 - useful / padded:.0%} are padding")
    for row in comparisons:
        theirs, ours = useful / row.peer_seconds, useful / row.our_seconds
        print(f"packing: {ours:,.0f} useful tokens a second against {theirs:,.0f} of {row.peer}")


if __name__ == "__main__":
    main()
