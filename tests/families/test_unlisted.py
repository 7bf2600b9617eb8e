"""Families off the beaten route: one that is not in the table trains on plain rows, one that cannot says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset

import sightline
from sightline.engine.selftest import choose_route
from sightline.errors import ConfigError
from sightline.models.families import FAMILIES
from tests.families.case import Case, picture, preference_rows
from tests.families.test_trains import losses
from tests.families.tiny_families import saved_family
from tests.families.tiny_unlisted import UNLISTED
from tests.tiny import SHORT_RUN


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_aya_vision_trains_on_plain_rows(method: str, tmp_path: Path) -> None:
    model, processor = saved_family("aya_vision", tmp_path / "model")
    assert model.config.model_type not in FAMILIES
    assert len(preference_rows()[2]["images"]) == 2
    ours, theirs = (losses("", method, library, model, processor, tmp_path, 3) for library in ("sightline", "trl"))
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-4
    assert max(ours) - min(ours) > 1e-3


def test_messages_beside_prompts_are_refused_where_rows_are_trls(tmp_path: Path) -> None:
    """TRL's collator reads a batch in its first row's form, and stops in the middle of a run on another."""
    model, processor = UNLISTED["mistral3"]()
    asked, said = {"role": "user", "content": "what is this ?"}, {"role": "assistant", "content": "red"}
    pair = {"images": [picture(0, 32, 32)], "prompt": [asked], "completion": [said], "messages": None}
    whole = {"images": [picture(1, 32, 32)], "prompt": None, "completion": None, "messages": [asked, said]}
    with pytest.raises(ConfigError, match="got rows of messages and rows of prompt and completion"):
        sightline.SFTTrainer(
            model=model,
            args=sightline.SFTConfig(output_dir=str(tmp_path), **SHORT_RUN),
            train_dataset=Dataset.from_list([pair, whole] * 2),
            processing_class=processor,
        )


def test_plain_rows_are_refused_where_trl_cannot_train_on_them(tmp_path: Path) -> None:
    case = Case("kosmos-2", tmp_path)
    with pytest.raises(ConfigError, match="trains on the route mask only"):
        choose_route(case.model, case.facts, case.batch.sequences, case.batch.image_inputs, case.pad_id, share="plain")
