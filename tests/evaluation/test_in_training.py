"""Scoring leaves a model that trains as it was: its mode, its weights' gradients, its attention, the random numbers."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

import sightline
from sightline.errors import ConfigError
from sightline.evaluation.in_training import task_scores
from tests.evaluation import scores_in_processes
from tests.evaluation.made_runs import write_rows
from tests.families.case import preference_rows
from tests.families.tiny_families import saved_family
from tests.tiny import tiny_llava, tiny_processor


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return write_rows(folder, gold="no")


def random_state() -> tuple[Any, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()


@pytest.mark.parametrize("attention", ["sdpa", "eager", "flex_attention"])
def test_mode_attention_and_random_numbers_stay(rows: Path, attention: str) -> None:
    model, processor = tiny_llava().train(), tiny_processor()
    score = task_scores([f"custom:{rows}"])
    assert score is not None
    expected = score(tiny_llava(), processor)
    model.get_decoder().set_attn_implementation(attention)
    before = random_state()
    found = score(model, processor)
    assert random_state() == before
    assert model.training and model.get_decoder().config._attn_implementation == attention
    assert found == expected
    bounds = {"rows_accuracy_low", "rows_accuracy_high"}
    assert found.keys() == {"rows_accuracy", *bounds, "rows_unparsed", "rows_errors"}


def losses(name: str, folder: Path, rows: Path | None) -> list[float]:
    """Four steps with an evaluation after each, as TRL sets up gradient checkpointing."""
    model, processor = saved_family(name, folder / "model")
    config = sightline.SFTConfig(
        output_dir=str(folder / "run"),
        max_steps=4,
        per_device_train_batch_size=2,
        learning_rate=1e-3,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="no",
        report_to=[],
        max_length=None,
        bf16=False,
        disable_tqdm=True,
    )
    found = [{"images": r["images"], "prompt": r["prompt"], "completion": r["chosen"]} for r in preference_rows(name)]
    data = Dataset.from_list(found)
    trainer = sightline.SFTTrainer(model, config, train_dataset=data, eval_dataset=data, processing_class=processor)
    if rows is not None:
        score = task_scores([f"custom:{rows}"], limit=4)
        assert score is not None
        trainer.score_tasks(score)
    trainer.train()
    logged = trainer.state.log_history
    assert all(("eval_rows_accuracy" in entry) == (rows is not None) for entry in logged if "eval_loss" in entry)
    assert all(entry.get("eval_rows_errors", 0) == 0 for entry in logged)
    return [entry[key] for entry in logged for key in ("loss", "eval_loss") if key in entry]


@pytest.mark.parametrize(
    "name", ["qwen2_5_vl", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gemma3", "qwen3_5", "smolvlm"))]
)
def test_families_train_as_if_nothing_had_been_asked(name: str, rows: Path, tmp_path: Path) -> None:
    scored, plain = losses(name, tmp_path / "scored", rows), losses(name, tmp_path / "plain", None)
    assert len(scored) == 8 and scored == plain


@pytest.mark.slow
def test_two_processes_find_the_scores_of_one(root: Path, rows: Path, tmp_path: Path) -> None:
    scores_in_processes.main(str(rows), str(tmp_path))
    alone = json.loads((tmp_path / "0.json").read_text())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = ["-m", "tests.evaluation.scores_in_processes", str(rows), str(tmp_path)]
    done = subprocess.run([*launcher, *script], cwd=root, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("One look per image") == 1, "the first process says it for all"
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == alone


def test_nothing_to_ask() -> None:
    assert task_scores(None) is None and task_scores([" , "]) is None
    with pytest.raises(ConfigError, match="eval_tasks_limit: there is nothing to limit"):
        task_scores(None, limit=3)
