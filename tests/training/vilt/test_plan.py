"""A ViLT run is planned from its rows and settings alone: nothing is made or written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image

from sightline.training.vilt.plan import plan_vilt
from sightline.training.vilt.run import make_trainer
from sightline.training.vilt.settings import read_vilt_settings

SIZES = "--hidden_size 32 --num_hidden_layers 1 --num_attention_heads 2 --intermediate_size 64 --image_size 32".split()


def test_a_plan_holds_the_rows_that_train_and_those_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three rows one shows a line of pixels, in which no patch has a place; its words are in no vocabulary."""
    for name, size in (("red", (40, 32)), ("blue", (40, 32)), ("line", (4000, 1))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    rows = [{"image": f"{name}.png", "question": f"is it {name}", "answer": name} for name in ("red", "blue", "line")]
    for name, part in (("train", rows), ("test", rows[:1])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    argv = ["--train_data", str(tmp_path / "train.jsonl"), "--eval_data", str(tmp_path / "test.jsonl"), *SIZES]
    argv += [
        "--output_dir",
        str(tmp_path / "run"),
        "--patch_size",
        "16",
        "--skip_bad_rows",
        "true",
        "--use_cpu",
        "true",
    ]
    plan = plan_vilt("vqa", read_vilt_settings(argv))
    assert [row.question for row in plan.rows] == ["is it red", "is it blue"]
    assert plan.held_out is not None and [row.question for row in plan.held_out] == ["is it red"]
    assert "line" not in plan.start.processor.tokenizer.get_vocab()
    assert "train.jsonl: 2 rows, 2 distinct pictures." in capsys.readouterr().err
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.rows = []  # type: ignore[misc]
    assert not (tmp_path / "run").exists()
    trainer = make_trainer(plan)
    assert len(trainer.train_dataset) == 2 and len(trainer.eval_dataset) == 1
    assert sorted(trainer.model.config.id2label.values()) == ["blue", "red"]
