"""A run that is killed (SIGKILL) while it stores or trains goes on to the losses of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli.main import run
from sightline.engine.store import list_stores
from tests.tiny import preference_rows, tiny_folder

# Shards of a few entries, so that there are many moments at which writing can be cut.
KILLED_RUN = """
import os, signal, sys
import trl
from sightline.cli.main import run
from sightline.engine import store
from sightline.training import references

def dies(function, calls):
    left = [calls]
    def wrapper(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapper

store.SHARD_BYTES = 5000
references.SECONDS_PER_SHARD = 0
if sys.argv[1] == "computing references":
    trl.DPOTrainer.compute_ref_log_probs = dies(trl.DPOTrainer.compute_ref_log_probs, 4)
if sys.argv[1] == "writing a shard":
    os.fsync = dies(os.fsync, 5)
if sys.argv[1] == "saving a checkpoint":
    trl.DPOTrainer._save_rng_state = dies(trl.DPOTrainer._save_rng_state, 2)
if sys.argv[1] == "before a checkpoint":
    trl.DPOTrainer.training_step = dies(trl.DPOTrainer.training_step, 2)
if sys.argv[1] == "training":
    trl.DPOTrainer.training_step = dies(trl.DPOTrainer.training_step, 6)
sys.exit(run(sys.argv[2:]))
"""
MOMENTS = ("computing references", "writing a shard", "training", "before a checkpoint", "saving a checkpoint")


def command(folder: Path, output: str) -> list[str]:
    return (
        f"dpo --model_name_or_path {folder / 'model'} --dataset_name {folder / 'train.jsonl'} "
        f"--output_dir {folder / output} --use_peft --lora_r 4 --lora_target_modules up_proj gate_proj "
        "--reference_store on --feature_store on --max_length null --bf16 false --per_device_train_batch_size 2 "
        "--learning_rate 1e-2 --max_steps 8 --logging_steps 1 --logging_strategy steps --save_steps 2 --seed 3 "
        "--image_margin_rows 0"  # its references would be counted among the moments
    ).split()


def losses(folder: Path) -> dict[int, float]:
    """The loss of each step; of a step that ran again, the later one."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", [pytest.param(one, marks=[pytest.mark.soak] if one in MOMENTS[1:4:2] else []) for one in MOMENTS]
)
def test_a_killed_run_ends_like_one_that_was_not(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_folder(tmp_path / "model", 1)
    with open(tmp_path / "train.jsonl", "w") as file:
        for index, row in enumerate(preference_rows(10, 5)):
            row["images"][0].save(tmp_path / f"{index}.png")
            file.write(json.dumps({**row, "images": [f"{index}.png"]}) + "\n")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache of the whole run"))
    assert run(command(tmp_path, "whole")) == 0

    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, moment, *command(tmp_path, "killed")], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    before = {store.kind: store for store in list_stores(verify=True)}
    assert not any(store.damaged for store in before.values())
    assert before["references"].entries >= 4, "what was computed before the kill is kept"
    if moment == "writing a shard":
        assert list((tmp_path / "cache").rglob(".*.partial")), "the kill came while a shard was written"
    began = (tmp_path / "killed" / "config.yaml").exists()
    assert began == (moment in MOMENTS[2:])
    page = tmp_path / "killed" / "report.html"
    assert page.exists() == began and (not began or "In training: step 0 of 8" in page.read_text())
    resume = ["--resume_from_checkpoint", "true"] if began else []
    assert run([*command(tmp_path, "killed"), *resume]) == 0
    assert "Finished: step 8 of 8" in page.read_text()
    checkpointed = moment in ("training", "saving a checkpoint")
    assert ("nobody said how it ended: it was killed" in page.read_text()) == checkpointed

    whole = losses(tmp_path / "whole")
    assert len(whole) == 8
    assert losses(tmp_path / "killed") == pytest.approx(whole, abs=1e-6)
    assert max(whole.values()) - min(whole.values()) > 1e-3, "a loss that does not move proves nothing"
