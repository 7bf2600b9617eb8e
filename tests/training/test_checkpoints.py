"""Checkpoints: old ones go by their steps, what was made of one stays, and damaged ones are passed over aloud."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sightline.training.checkpoints import CheckpointTrainer, numbered, remove_half_checkpoints
from sightline.training.restore import find_damage, last_whole_checkpoint


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({"weight": torch.ones(4)}, path / "model.safetensors")
    torch.save({"step": step}, path / "optimizer.pt")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return path


def cut(name: str, size: int = 20) -> Any:
    return lambda path: (path / name).write_bytes((path / name).read_bytes()[:size])


def fill(name: str) -> Any:
    return lambda path: (path / name).write_bytes(bytes((path / name).stat().st_size))


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (cut("trainer_state.json", 5), "trainer_state.json"),
        (fill("trainer_state.json"), "trainer_state.json"),
        (lambda path: (path / "trainer_state.json").unlink(), "trainer_state.json"),
        (lambda path: (path / "trainer_state.json").write_text("[]"), "trainer_state.json"),
        (cut("model.safetensors"), "model.safetensors"),
        (cut("model.safetensors", 0), "model.safetensors"),
        (fill("model.safetensors"), "model.safetensors"),
        (cut("optimizer.pt", 200), "optimizer.pt"),
        (fill("optimizer.pt"), "optimizer.pt"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_aloud(damage: Any, name: str, tmp_path: Path, capsys: Any) -> None:
    whole, damaged = checkpoint(tmp_path, 2), checkpoint(tmp_path, 4)
    assert last_whole_checkpoint(tmp_path) == str(damaged)
    damage(damaged)
    assert find_damage(damaged) == name
    assert last_whole_checkpoint(tmp_path) == str(whole)
    assert f"checkpoint-4 is not whole ({name}); going on from the one before it." in capsys.readouterr().err


def test_old_checkpoints_go_by_their_steps_and_what_was_made_of_one_stays(tmp_path: Path) -> None:
    for step in (10, 8, 2, 6):  # as a clock that goes back would date them
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-2-merged").mkdir()
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=10, best_global_step=6))
    CheckpointTrainer._remove_old(trainer, tmp_path, 2)  # type: ignore[arg-type]
    assert sorted(numbered(tmp_path)) == [6, 10] and (tmp_path / "checkpoint-2-merged").is_dir()


def test_what_a_killed_run_left_half_is_removed(tmp_path: Path) -> None:
    checkpoint(tmp_path / ".checkpoint-4.partial", 4)
    checkpoint(tmp_path, 2)
    remove_half_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]
