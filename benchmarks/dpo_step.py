"""DPO step against TRL 1.16: 80M LLaVA shape, 576 image tokens, answers of 40 to 60 tokens, full fine-tuning."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trl
from arms import OURS, TRL, TRL_LABELLED, Arm, compare, report
from costs import dpo_limits
from datasets import Dataset
from shapes import llava_80m, preference_rows, processor

import sightline

PAIRS = 2
ROUNDS = 5


@dataclass(frozen=True)
class Variant:
    """What Sightline takes from stores, filled before the rounds as they are after a run's first epoch.

    Attributes:
        references: the reference's log-probabilities.
        features: the images' features; tower and projector are frozen then, in TRL's model as well.
    """

    references: bool = False
    features: bool = False


VARIANTS = {
    "dpo_step": Variant(),
    "dpo_references": Variant(references=True),
    "dpo_stores": Variant(references=True, features=True),
}


def main(names: list[str]) -> None:
    """Five rounds of one step per arm, the first a warm-up; for each of the named variants, by default all."""
    for name in names or VARIANTS:
        measure(name, VARIANTS[name])


def measure(name: str, variant: Variant) -> None:
    """One variant against TRL as it is, and scoring labelled positions only."""
    os.environ["SIGHTLINE_CACHE"] = tempfile.mkdtemp()
    rows = preference_rows(PAIRS * ROUNDS)
    stores = {
        "reference_store": "on" if variant.references else "off",
        "feature_store": "on" if variant.features else "off",
    }
    arms = [
        Arm(TRL, make_trainer(trl.DPOTrainer, trl.DPOConfig, rows, variant.features)),
        Arm(TRL_LABELLED, make_trainer(trl.DPOTrainer, trl.DPOConfig, rows, variant.features), labelled_only=True),
        Arm(OURS, make_trainer(sightline.DPOTrainer, sightline.DPOConfig, rows, variant.features, **stores)),
    ]
    rounds = [range(start, start + PAIRS) for start in range(0, len(rows), PAIRS)]
    as_it_is, labelled = dpo_limits(
        llava_80m(),
        prompt=576 + 16,
        answer=51,
        padded=57,
        pairs=PAIRS,
        stored_references=variant.references,
        stored_features=variant.features,
    )
    limits = {TRL: as_it_is, TRL_LABELLED: labelled}
    report(compare(name, arms, rounds, limits, tolerance=1e-4), Path(__file__).parent / f"results/{name}.json")


def make_trainer(trainer_class: type, config_class: type, rows: list, frozen: bool, **stores: Any) -> trl.DPOTrainer:
    """A trainer of either library; `frozen` keeps tower and projector as they are."""
    config = config_class(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PAIRS,
        learning_rate=1e-5,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        **stores,
    )
    model = llava_80m(0)
    if frozen:
        model.model.vision_tower.requires_grad_(False)
        model.model.multi_modal_projector.requires_grad_(False)
    return trainer_class(
        model=model,
        ref_model=llava_80m(1),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor(),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
