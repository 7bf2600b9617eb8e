"""Runs of tiny models over rows in memory, as `sightline data preview` and `sightline doctor` plan them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset

from sightline.training.arguments import read_settings
from sightline.training.plan import RunPlan, plan_run
from sightline.training.recipe import CONFIGS
from sightline.training.source import ModelSource
from tests.tiny import tiny_llava, tiny_processor


def planned_run(
    folder: Path, rows: list[dict[str, Any]], method: str = "sft", source: Any = None, **settings: Any
) -> RunPlan:
    """The run over `rows`, saved to `folder`; no `max_length` unless one is given."""
    Dataset.from_list(rows).save_to_disk(folder / "rows")
    given = {"max_length": None, "bf16": False, "gradient_checkpointing": False, **settings}
    argv = [word for key, value in given.items() for word in (f"--{key}", "null" if value is None else str(value))]
    record = read_settings(["--dataset_name", str(folder / "rows"), *argv], CONFIGS[method])
    return plan_run(record, method, source or ModelSource(tiny_llava(), tiny_processor()), is_checked=False)
