"""A family that is not in the table trains as TRL trains it, on plain rows, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.models.families import FAMILIES
from tests.families.case import preference_rows
from tests.families.test_trains import losses
from tests.families.tiny_families import saved_family


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_aya_vision_trains_on_plain_rows(method: str, tmp_path: Path) -> None:
    model, processor = saved_family("aya_vision", tmp_path / "model")
    assert model.config.model_type not in FAMILIES
    assert len(preference_rows()[2]["images"]) == 2
    ours, theirs = (losses("", method, library, model, processor, tmp_path, 3) for library in ("sightline", "trl"))
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-4
    assert max(ours) - min(ours) > 1e-3
