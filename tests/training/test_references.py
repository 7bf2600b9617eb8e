"""Stored references: the losses of a run without them, no reference forward, nothing computed twice, damage mended."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from peft import LoraConfig

import sightline
import sightline.training
from sightline.errors import ConfigError
from sightline.runs import cache_folder
from sightline.training.references import _share
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor

pytestmark = pytest.mark.slow

ADAPTER = {"r": 2, "target_modules": r".*language_model.*(q_proj|v_proj)"}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return cache_folder()


def config(folder: Path, **given: Any) -> Any:
    return sightline.DPOConfig(
        output_dir=str(folder / "run"),
        **SHORT_RUN,
        max_steps=6,
        per_device_train_batch_size=2,
        learning_rate=1e-3,
        train_sampling_strategy="sequential",
        image_margin_rows=0,  # it asks the reference once, for its few rows
        **given,
    )


def trainer(folder: Path, lora: bool = False, rows: Any = None, **given: Any) -> Any:
    """A run of six steps whose reference is another model, or the model under its adapter."""
    arguments: dict[str, Any] = {"peft_config": LoraConfig(**ADAPTER)} if lora else {"ref_model": tiny_llava(2)}
    return sightline.DPOTrainer(
        model=tiny_llava(1),
        args=config(folder, **given),
        train_dataset=Dataset.from_list(rows or preference_rows(8, 4)),
        processing_class=tiny_processor(),
        **arguments,
    )


def losses(trained: Any) -> list[float]:
    trained.train()
    return [entry["loss"] for entry in trained.state.log_history if "loss" in entry]


def forbid_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a reference was computed that is stored")

    monkeypatch.setattr(trl.DPOTrainer, "compute_ref_log_probs", refuse)


@pytest.mark.parametrize("lora", [True, False])
@pytest.mark.parametrize("more", [{}, {"share": "plain"}, {"ld_alpha": 0.5}])
def test_losses_equal_those_without_the_store(lora: bool, more: dict[str, Any], tmp_path: Path) -> None:
    without = losses(trainer(tmp_path, lora, reference_store="off", **more))
    assert losses(trainer(tmp_path, lora, reference_store="on", **more)) == pytest.approx(without, abs=1e-6)
    assert max(without) - min(without) > 1e-4, "a loss that does not move proves nothing"


def test_no_reference_runs_in_training_and_none_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer(tmp_path, reference_store="on")
    assert trained.ref_model is None
    assert [type(model) for model in trained.accelerator._models] == []
    forbid_computing(monkeypatch)
    passes: list[int] = []
    trained.model.model.language_model.register_forward_hook(lambda *_: passes.append(1))
    trained.train()
    assert len(passes) == 6


def test_a_model_built_in_memory_is_its_own_reference(tmp_path: Path) -> None:
    """TRL reloads the reference from the folder that the model came from; with the store there need not be one."""
    trained = sightline.DPOTrainer(
        model=tiny_llava(1),
        args=config(tmp_path),
        train_dataset=Dataset.from_list(preference_rows(8, 4)),
        processing_class=tiny_processor(),
    )
    assert losses(trained)[0] == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize("other", [{"beta": 0.7}, {"loss_type": ["ipo"]}, {"loss_type": ["sft"]}])
def test_runs_that_differ_in_loss_share_references(
    other: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path, lora=True)
    forbid_computing(monkeypatch)
    trainer(tmp_path, lora=True, **other)


def test_a_full_run_and_an_adapter_run_of_one_base_share_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path, lora=True)
    forbid_computing(monkeypatch)
    sightline.DPOTrainer(
        model=tiny_llava(1),
        args=config(tmp_path),
        train_dataset=Dataset.from_list(preference_rows(8, 4)),
        processing_class=tiny_processor(),
    )


@pytest.mark.parametrize("change", ["model", "image", "answer"])
def test_what_a_reference_depends_on_makes_it_anew(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path, lora=True)
    rows = preference_rows(8, 4)
    if change == "image":
        rows[0]["images"][0].putpixel((3, 3), (1, 2, 3))
    if change == "answer":
        rows[0]["chosen"][0]["content"] += " red"
    forbid_computing(monkeypatch)
    with pytest.raises(AssertionError, match="a reference was computed"):
        if change == "model":
            trainer(tmp_path)
        else:
            trainer(tmp_path, lora=True, rows=rows)


def test_a_damaged_shard_is_rebuilt_with_a_message(
    tmp_path: Path, empty_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = trainer(tmp_path, lora=True).data_collator.references.logprob_of
    (shard,) = empty_cache.glob("references/*/*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="sightline"):
        again = trainer(tmp_path, lora=True).data_collator.references.logprob_of
    assert again == whole
    assert "is damaged" in caplog.text
    (rebuilt,) = empty_cache.glob("references/*/*.safetensors")
    assert rebuilt.read_bytes() != bytes(content)


def test_pairs_that_came_later_are_refused_with_advice(tmp_path: Path) -> None:
    trained = trainer(tmp_path, reference_store="on")
    batch = trained.data_collator(preference_rows(2, 2, seed=9))
    with pytest.raises(ConfigError, match="Pass them as eval_dataset"):
        trained._compute_loss(trained.model, batch, return_outputs=False)


def test_auto_stores_nothing_for_a_run_that_shows_few_rows(tmp_path: Path, empty_cache: Path) -> None:
    assert trainer(tmp_path, rows=preference_rows(20, 4)).ref_model is not None
    assert not empty_cache.exists()


def test_on_says_why_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reference_store is on, but sync_ref_model changes the reference"):
        trainer(tmp_path, reference_store="on", sync_ref_model=True)
    with pytest.raises(ConfigError, match="expected one of auto, on, off; got 'maybe'"):
        trainer(tmp_path, reference_store="maybe")


def test_weights_decide_the_key_not_the_name(tmp_path: Path, empty_cache: Path) -> None:
    trainer(tmp_path, lora=True)
    changed = tiny_llava(1)
    with torch.no_grad():
        changed.lm_head.weight[0, 0] += 1e-3
    sightline.DPOTrainer(
        model=changed,
        args=config(tmp_path),
        train_dataset=Dataset.from_list(preference_rows(8, 4)),
        processing_class=tiny_processor(),
    )
    assert len(list(empty_cache.glob("references/*"))) == 2


def test_processes_that_see_different_rows_missing_leave_none_to_nobody() -> None:
    """The first process may have stored its share before the second looks what is missing."""
    rows_of = {f"pair {index}": index for index in range(7)}

    def share(process: int, missing: set[str]) -> list[str]:
        accelerator = SimpleNamespace(process_index=process, num_processes=2)
        return [pairs for pairs, _ in _share(accelerator, rows_of, dict.fromkeys(missing))]

    first = share(0, set(rows_of))
    second = share(1, set(rows_of) - set(first))
    assert sorted(first + second) == sorted(rows_of)
