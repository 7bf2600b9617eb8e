"""Packed rows train as unpacked ones do: losses, gradients, epochs, accumulation, processes; and what is refused."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from accelerate.data_loader import BatchSamplerShard
from datasets import Dataset
from torch.utils.data import BatchSampler, SequentialSampler

import sightline
import sightline.training
from sightline.errors import ConfigError, DataError
from sightline.training.packing import PackedRows
from tests.families.case import gradient_error, picture as sized_picture
from tests.families.tiny_families import saved_family
from tests.tiny import preference_rows, tiny_llava, tiny_processor, vqa_rows


def settings(config_class: type, folder: Path, **given: Any) -> Any:
    defaults: dict[str, Any] = {
        "report_to": [],
        "max_length": None,
        "bf16": False,
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    return config_class(output_dir=str(folder), **{**defaults, **given})


def example(images: list[tuple[int, int, int]], question: str, answer: str) -> dict[str, Any]:
    """A row whose images are given as (seed, width, height)."""
    parts = [{"type": "image"} for _ in images] + [{"type": "text", "text": question}]
    return {
        "images": [sized_picture(*image) for image in images],
        "prompt": [{"role": "user", "content": parts}],
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": answer}]}],
    }


def mixed_rows() -> list[dict[str, Any]]:
    """Images of several sizes, two in a row, one that three rows share, and rows without any between them."""
    wide, tall, square = (0, 60, 30), (1, 30, 60), (2, 36, 36)
    return [
        example([wide], "what is this ?", "red circle and blue square"),
        example([], "how many ?", "one two three and no small green word"),
        example([tall], "describe the picture .", "a large green circle"),
        example([square, wide], "how many ?", "three"),
        example([wide], "what is the colour ?", "red"),
        example([], "what is it ?", "a circle"),
        example([square], "describe it .", "blue blue blue green red word word word small large"),
        example([wide], "what is the shape ?", "no circle"),
    ]


def trainer_of(library: Any, model: Any, processor: Any, rows: list[dict[str, Any]], args: Any) -> Any:
    return library.SFTTrainer(
        model=copy.deepcopy(model), args=args, train_dataset=Dataset.from_list(rows), processing_class=processor
    )


def loss_and_gradients(trainer: Any, batch: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["gemma3", "llava_next", "llava_onevision", "qwen2_5_vl", "smolvlm"])
def test_packed_rows_have_the_loss_and_gradients_of_trls_padded_ones(name: str, tmp_path: Path) -> None:
    model, processor = saved_family(name, tmp_path / "model")
    given = {"gradient_checkpointing": False}
    packed = trainer_of(
        sightline, model, processor, mixed_rows(),
        settings(sightline.SFTConfig, tmp_path / "a", packing=True, max_length=130, **given),
    )  # fmt: skip
    padded = trainer_of(trl, model, processor, mixed_rows(), settings(trl.SFTConfig, tmp_path / "b", **given))
    rows = packed.train_dataset
    assert isinstance(rows, PackedRows) and 1 < len(rows) < len(mixed_rows())
    batch = packed.data_collator([rows[index] for index in range(len(rows))])
    assert batch["forest"].ids_RL.shape[0] == len(rows)
    ours, gradients = loss_and_gradients(packed, batch)
    theirs, plain_gradients = loss_and_gradients(padded, padded.data_collator(copy.deepcopy(mixed_rows())))
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert gradient_error(gradients, plain_gradients) <= 1e-3


def test_no_example_of_a_row_sees_another(tmp_path: Path) -> None:
    """Another image, question and answer in one place leave the scores of all other examples where they were."""
    trainer = tiny(tmp_path, mixed_rows(), packing=True, per_device_train_batch_size=1)
    row = trainer.train_dataset[0]
    assert len(row) == len(mixed_rows())
    place = next(index for index, one in enumerate(row) if len(one["images"]) == 2)
    changed = [*row[:place], example([(9, 50, 50), (8, 20, 50)], "no ?", "small large"), *row[place + 1 :]]
    trainer.model.eval()
    with torch.no_grad():
        before, after = (
            trainer.model(**trainer.data_collator([one]), fused_lm_head=True).log_probs for one in (row, changed)
        )
    width = min(before.shape[1], after.shape[1])
    difference = (before[:, :width] - after[:, :width]).abs().amax(dim=1)
    assert difference[place] > 1e-2
    assert difference[torch.arange(len(row)) != place].max() <= 1e-5


def tiny(folder: Path, rows: list[dict[str, Any]], library: Any = sightline, **given: Any) -> Any:
    """A trainer of the tiny LLaVA over VQA rows or any others."""
    config = library.SFTConfig
    return trainer_of(library, tiny_llava(1), tiny_processor(), rows, settings(config, folder, **given))


def completions(count: int, images: int) -> list[dict[str, Any]]:
    return [
        {
            "images": [row["image"]],
            "prompt": [{"role": "user", "content": row["question"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in vqa_rows(count, images)
    ]


def losses(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


class TestPlan:
    """Which examples share a row."""

    def test_an_epoch_holds_each_example_once_within_the_budgets(self, tmp_path: Path) -> None:
        rows = completions(40, 13)
        trainer = tiny(tmp_path, rows, packing=True, max_length=120, max_images_per_row=3)
        packed = trainer.train_dataset
        assert sorted(index for row in packed.rows for index in row) == list(range(40))
        for number in range(len(packed)):
            examples = packed[number]
            assert len({row["images"][0]["bytes"] for row in examples}) <= 3
            forest = trainer.data_collator([examples])["forest"]
            assert forest.ids_RL.shape[0] == 1 and forest.ids_RL.shape[1] <= 120

    def test_rows_of_one_image_stand_in_one_row_and_share_it(self, tmp_path: Path) -> None:
        """Twelve questions about three images: the row holds each image's 16 tokens once."""
        trainer = tiny(tmp_path, completions(12, 3), packing=True, per_device_train_batch_size=1)
        assert len(trainer.train_dataset) == 1
        batch = trainer.data_collator([trainer.train_dataset[0]])
        assert int((batch["forest"].block_RL >= 0).sum()) == 3 * 16
        assert len(batch["pixel_values"]) == 3

    def test_an_image_with_more_questions_than_fit_is_shown_in_several_rows(self, tmp_path: Path) -> None:
        trainer = tiny(tmp_path, completions(30, 1), packing=True, max_length=100, per_device_train_batch_size=1)
        lengths = [
            trainer.data_collator([trainer.train_dataset[row]])["forest"].ids_RL.shape[1]
            for row in range(len(trainer.train_dataset))
        ]
        assert len(lengths) > 1 and max(lengths) <= 100

    def test_without_max_length_a_row_holds_2048_tokens(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tiny(tmp_path, completions(12, 3), packing=True)
        assert "Packing: 12 examples in 1 rows of at most 2,048 tokens: 12.0 examples and" in capsys.readouterr().err

    def test_every_process_has_as_many_rows_and_none_twice(self, tmp_path: Path) -> None:
        """As many rows as four processes of two each take in whole batches."""
        trainer = tiny(tmp_path, completions(60, 60), packing=True, max_length=90, per_device_train_batch_size=8)
        rows = len(trainer.train_dataset)
        assert rows % 8 == 0
        batches = BatchSampler(SequentialSampler(range(rows)), batch_size=2, drop_last=False)
        shards = [list(BatchSamplerShard(batches, 4, process)) for process in range(4)]
        assert len({len(shard) for shard in shards}) == 1
        assert sorted(row for shard in shards for batch in shard for row in batch) == list(range(rows))


@pytest.mark.slow
def test_accumulated_packed_rows_take_the_steps_of_trls_whole_batches(tmp_path: Path) -> None:
    """Three epochs over all rows, one step each: ours in packed rows accumulated one by one, TRL's in one batch."""
    rows = completions(12, 12)
    given = {"num_train_epochs": 3, "learning_rate": 1e-3, "logging_steps": 1, "logging_strategy": "steps"}
    ours = tiny(
        tmp_path / "a", rows, packing=True, max_length=90, per_device_train_batch_size=1,
        gradient_accumulation_steps=20, **given,
    )  # fmt: skip
    assert 1 < len(ours.train_dataset) < 12
    theirs = tiny(tmp_path / "b", rows, trl, per_device_train_batch_size=12, **given)
    ours, theirs = losses(ours), losses(theirs)
    assert len(ours) == len(theirs) == 3
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert max(ours) - min(ours) > 1e-2, "a loss that does not move proves nothing"


@pytest.mark.slow
def test_padding_free_lays_a_batch_in_one_row_and_takes_trls_steps(tmp_path: Path) -> None:
    rows = mixed_rows()
    given: dict[str, Any] = {"learning_rate": 1e-3, "per_device_train_batch_size": 4, "max_steps": 4}
    given |= {"train_sampling_strategy": "sequential", "logging_strategy": "steps", "logging_steps": 1}
    model, processor = saved_family("smolvlm", tmp_path / "model")
    ours = trainer_of(
        sightline, model, processor, rows, settings(sightline.SFTConfig, tmp_path / "a", padding_free=True, **given)
    )
    forest = ours.data_collator([ours.train_dataset[index] for index in range(4)])["forest"]
    assert forest.ids_RL.shape[0] == 1
    theirs = trainer_of(trl, model, processor, rows, settings(trl.SFTConfig, tmp_path / "b", **given))
    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-4)


def test_padding_free_pairs_lie_in_one_row_with_the_loss_of_others(tmp_path: Path) -> None:
    pairs = preference_rows(6, 4)
    values = []
    for padding_free in (True, False):
        args = settings(sightline.DPOConfig, tmp_path / str(padding_free), padding_free=padding_free)
        trainer = sightline.DPOTrainer(
            model=tiny_llava(1), ref_model=tiny_llava(2), args=args, train_dataset=Dataset.from_list(pairs),
            processing_class=tiny_processor(),
        )  # fmt: skip
        batch = trainer.data_collator(pairs)
        assert (batch["forest"].ids_RL.shape[0] == 1) == padding_free
        with torch.no_grad():
            values.append(float(trainer._compute_loss(trainer.model, batch, return_outputs=False)))
    assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_evaluation_of_packed_runs_gives_the_loss_of_unpacked_ones(tmp_path: Path) -> None:
    values = []
    for packing in (True, False):
        trainer = sightline.SFTTrainer(
            model=tiny_llava(1),
            args=settings(sightline.SFTConfig, tmp_path / str(packing), packing=packing, max_length=100),
            train_dataset=Dataset.from_list(completions(8, 4)),
            eval_dataset=Dataset.from_list(completions(8, 8)),
            processing_class=tiny_processor(),
        )
        values.append(trainer.evaluate()["eval_loss"])
    assert values[0] == pytest.approx(values[1], abs=1e-5)


class TestRefusals:
    """What packing cannot do is an error that says what to do."""

    def test_plain_rows(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="packing: examples share a row on the route mask alone, but this run t"):
            tiny(tmp_path, completions(4, 2), packing=True, share="plain")

    def test_padding_free_on_plain_rows(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="padding_free: examples share a row on the route mask alone"):
            tiny(tmp_path, completions(4, 2), padding_free=True, share="plain")

    def test_a_collator_of_the_users(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="packing: a data_collator was given"):
            sightline.SFTTrainer(
                model=tiny_llava(1), args=settings(sightline.SFTConfig, tmp_path, packing=True),
                train_dataset=Dataset.from_list(completions(4, 2)), processing_class=tiny_processor(),
                data_collator=lambda rows: {},
            )  # fmt: skip

    def test_a_streamed_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="packing reads every row before training, but train_dataset is stream"):
            sightline.SFTTrainer(
                model=tiny_llava(1), args=settings(sightline.SFTConfig, tmp_path, packing=True, max_steps=2),
                train_dataset=Dataset.from_list(completions(4, 2)).to_iterable_dataset(),
                processing_class=tiny_processor(),
            )  # fmt: skip

    def test_sampling_by_length(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="train_sampling_strategy: expected random or sequential with packing"):
            tiny(tmp_path, completions(4, 2), packing=True, train_sampling_strategy="group_by_length")

    def test_splitting_examples(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match="packing_strategy: expected bfd for images, whose examples are never spl"
        ):
            tiny(tmp_path, completions(4, 2), packing=True, packing_strategy="bfd_split")

    def test_an_example_with_more_images_than_a_row_may_show(self, tmp_path: Path) -> None:
        rows = [example([(0, 40, 40), (1, 40, 40)], "how many ?", "two"), example([(2, 40, 40)], "what ?", "red")]
        with pytest.raises(DataError, match="train_dataset row 1: 2 images, but max_images_per_row is 1"):
            tiny(tmp_path, rows, packing=True, max_images_per_row=1)


def test_rows_too_long_are_dropped_before_they_are_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = completions(6, 6)
    rows[2]["completion"][0]["content"] = " ".join(["red"] * 40)
    trainer = tiny(tmp_path, rows, packing=True, max_length=50, length_policy="drop")
    assert "train_dataset: 5 of 6 rows fit max_length 50, 1 dropped (row 3)" in capsys.readouterr().err
    assert sum(len(trainer.train_dataset[row]) for row in range(len(trainer.train_dataset))) == 5


TWO_PROCESSES = """
import json, sys
from datasets import Dataset
from tests.processes import end_beside_others
from tests.training.test_packing import completions, losses, tiny
from pathlib import Path
trainer = tiny(Path(sys.argv[1]), completions(24, 24), packing=True, max_length=90, num_train_epochs=2,
               per_device_train_batch_size=int(sys.argv[2]), learning_rate=1e-3, logging_steps=1,
               logging_strategy="steps", use_cpu=True, train_sampling_strategy="sequential")
found = losses(trainer)
if trainer.is_world_process_zero():
    Path(sys.argv[1], "losses.json").write_text(json.dumps([len(trainer.train_dataset), found]))
end_beside_others()
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TWO_PROCESSES)
    found = []
    for processes, batch in ((1, 4), (2, 2)):
        folder = tmp_path / str(processes)
        folder.mkdir()
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        done = subprocess.run(
            [*launch, str(script), str(folder), str(batch)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads((folder / "losses.json").read_text()))
    (rows, alone), (same_rows, together) = found
    assert rows == same_rows and len(alone) == len(together) == 2 * rows // 4
    assert together == pytest.approx(alone, abs=1e-4)
