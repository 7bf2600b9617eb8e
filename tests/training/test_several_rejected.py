"""Several rejected answers per row: the losses of TRL on one row per pair, the chosen answer computed once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trl
from datasets import Dataset
from peft import LoraConfig

import sightline
import sightline.training
from sightline.data.encoding.preferences import answer_pairs
from sightline.errors import DataError
from tests.tiny import SHORT_RUN, answer, preference_rows, tiny_llava, tiny_processor

LOSS_TYPES = ("sigmoid", "ipo", "bco_pair", "apo_zero", "aot", "robust", "sft", "sigmoid_norm")


def list_rows(counts: list[int], conversational: bool = True) -> list[dict[str, Any]]:
    """Rows with so many rejected answers; each picture stands in two rows."""
    rng = np.random.default_rng(7)
    rows = preference_rows(len(counts), (len(counts) + 1) // 2)
    for row, count in zip(rows, counts, strict=True):
        row["rejected"] = [[{"role": "assistant", "content": f"blue {answer(rng)} {index}"}] for index in range(count)]
    return rows if conversational else [plain(row) for row in rows]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": row["images"],
        "prompt": f"<image> {row['prompt'][0]['content']}",
        "chosen": f" {row['chosen'][0]['content']}",
        "rejected": [f" {messages[0]['content']}" for messages in row["rejected"]],
    }


def expanded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pair for row in rows for pair in answer_pairs(row, "row")]


def trainer(library: Any, folder: Path, rows: list[dict[str, Any]], batch: int, **given: Any) -> Any:
    lora = LoraConfig(r=2, target_modules=r".*language_model.*(q_proj|v_proj)") if given.pop("lora", False) else None
    return library.DPOTrainer(
        model=tiny_llava(1),
        ref_model=None if lora else tiny_llava(2),
        args=library.DPOConfig(
            output_dir=str(folder / library.__name__),
            **SHORT_RUN,
            max_steps=4,
            per_device_train_batch_size=batch,
            learning_rate=1e-3,
            train_sampling_strategy="sequential",
            **given,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_processor(),
        peft_config=lora,
    )


@pytest.mark.parametrize("conversational", [True, False])
def test_losses_metrics_and_gradients_equal_trls_on_one_row_per_pair(conversational: bool, tmp_path: Path) -> None:
    rows = list_rows([3, 1, 2, 2], conversational)
    ours = trainer(sightline, tmp_path, rows, 4, reference_store="off")
    theirs = trainer(trl, tmp_path, expanded(rows), 8)
    assert ours.route.route == "mask"
    batches = [ours.data_collator(rows), theirs.data_collator(copy.deepcopy(expanded(rows)))]
    for loss_type in LOSS_TYPES:
        values, gradients = [], []
        for one, batch in zip((ours, theirs), batches, strict=True):
            one.loss_types, one.loss_weights, one.label_smoothing = [loss_type], [1.0], 0.1
            one.model.zero_grad()
            loss = one._compute_loss(one.model, dict(batch), return_outputs=False)
            loss.backward()
            values.append(loss.item())
            gradients.append(torch.cat([p.grad.flatten() for p in one.model.parameters() if p.grad is not None]))
        assert values[0] == pytest.approx(values[1], abs=1e-4), loss_type
        assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-3, loss_type
    for name, found in theirs._metrics["train"].items():
        assert ours._metrics["train"][name] == pytest.approx(found, abs=1e-4, rel=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize(("lora", "more"), [(True, {}), (False, {"share": "plain"}), (True, {"ld_alpha": 0.5})])
def test_a_run_with_stored_references_has_the_losses_of_trl_on_one_row_per_pair(
    lora: bool, more: dict[str, Any], tmp_path: Path
) -> None:
    rows = list_rows([2] * 8)
    theirs = {name: value for name, value in more.items() if name != "share"}
    runs = [
        trainer(sightline, tmp_path, rows, 2, lora=lora, reference_store="on", **more),
        trainer(trl, tmp_path, expanded(rows), 4, lora=lora, **theirs),
    ]
    losses = []
    for run in runs:
        torch.manual_seed(0)
        run.train()
        losses.append([entry["loss"] for entry in run.state.log_history if "loss" in entry])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert max(losses[0]) - min(losses[0]) > 1e-4, "a loss that does not move proves nothing"


def test_prompt_and_chosen_answer_stand_in_the_forest_once(tmp_path: Path) -> None:
    rows = list_rows([3, 1])
    ours = trainer(sightline, tmp_path, rows, 2, reference_store="off")
    for row in rows:
        batch = ours.data_collator([row])
        sequences = ours.data_collator.encoder.encode_preferences([row]).sequences
        prefixes = {tuple(sequence.ids_L[: end + 1]) for sequence in sequences for end in range(len(sequence.ids_L))}
        assert batch["forest"].ids_RL.numel() == len(prefixes)
        scored = batch["forest"].edge_NT
        assert int(scored[scored >= 0].bincount().max()) >= len(row["rejected"])


def test_a_list_without_images_is_refused(tmp_path: Path) -> None:
    rows = [{name: value for name, value in row.items() if name != "images"} for row in list_rows([2, 2])]
    with pytest.raises(DataError, match="expected one answer in each `rejected`, since there are no images"):
        trainer(sightline, tmp_path, rows, 2)
