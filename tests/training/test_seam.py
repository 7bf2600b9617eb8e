"""A batch with a forest gives whoever wants logits, or has a loss of their own, what TRL's batch gives."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trl
from datasets import Dataset

import sightline
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning")]  # each test trains
LIBRARIES = (trl, sightline)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


def made(library: Any, method: str, folder: Path, metrics: Any = None, **settings: Any) -> Any:
    """A trainer of four rows over two pictures, which our trainers share by the route mask."""
    rows = preference_rows(4, 2)
    if method == "sft":
        rows = [{"images": row["images"], "prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
    name = method.upper()
    given = {**SHORT_RUN, "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "max_steps": 2}
    args = getattr(library, f"{name}Config")(
        output_dir=str(folder), **{**given, "train_sampling_strategy": "sequential", **settings}
    )
    model = tiny_llava(1)
    more = {"ref_model": copy.deepcopy(model)} if method == "dpo" else {}
    more |= {"compute_metrics": metrics} if metrics else {}
    trainer = getattr(library, f"{name}Trainer")(
        model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tiny_processor(), **more
    )
    assert library is trl or trainer.route.route == "mask"
    return trainer


def held_out(trainer: Any) -> Dataset:
    return trainer.train_dataset.select(range(3))


def both(method: str, folder: Path, get: Callable[[Any], Any], **settings: Any) -> tuple[Any, Any]:
    theirs, ours = (get(made(library, method, folder, **settings)) for library in LIBRARIES)
    return theirs, ours


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_predictions_labels_and_metrics_are_trls(method: str, tmp_path: Path) -> None:
    theirs, ours = both(method, tmp_path, lambda trainer: trainer.predict(held_out(trainer)))
    assert theirs.predictions.shape == ours.predictions.shape
    assert np.array_equal(theirs.label_ids, ours.label_ids)
    assert np.allclose(theirs.predictions, ours.predictions, atol=1e-5)
    assert theirs.metrics["test_loss"] == pytest.approx(ours.metrics["test_loss"], abs=1e-5)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_metrics_that_come_after_the_trainer_was_made_see_trls_logits(method: str, tmp_path: Path) -> None:
    def late(trainer: Any) -> dict[str, float]:
        trainer.compute_metrics = lambda given: {"mean": float(given.predictions.mean())}
        return trainer.evaluate(held_out(trainer))

    theirs, ours = both(method, tmp_path, late)
    for name in ("eval_mean", "eval_loss", "eval_entropy", "eval_mean_token_accuracy"):
        assert theirs[name] == pytest.approx(ours[name], abs=1e-5)


def test_metrics_that_are_there_from_the_start_leave_sharing_on(tmp_path: Path) -> None:
    def mean(given: Any) -> dict[str, float]:
        return {"mean": float(given.predictions.mean())}

    theirs, ours = both("sft", tmp_path, lambda trainer: trainer.evaluate(held_out(trainer)), metrics=mean)
    assert theirs["eval_mean"] == pytest.approx(ours["eval_mean"], abs=1e-5)


def test_logits_that_are_made_small_for_metrics_are_trls(tmp_path: Path) -> None:
    def small(trainer: Any) -> Any:
        trainer.preprocess_logits_for_metrics = lambda logits, labels: logits.argmax(-1)
        trainer.compute_metrics = lambda given: {"right": float((given.predictions == given.label_ids).mean())}
        return trainer.evaluate(held_out(trainer))["eval_right"]

    theirs, ours = both("sft", tmp_path, small)
    assert theirs == pytest.approx(ours, abs=1e-7)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_a_step_and_a_loop_of_evaluation_by_hand_are_trls(method: str, tmp_path: Path) -> None:
    def step(trainer: Any) -> Any:
        batches = trainer.get_eval_dataloader(held_out(trainer))
        loss, logits, _ = trainer.prediction_step(trainer.model, next(iter(batches)), prediction_loss_only=False)
        whole = trainer.evaluation_loop(batches, "by hand", prediction_loss_only=False)
        return loss.item(), logits.detach().numpy(), whole.predictions

    for one, other in zip(*both(method, tmp_path, step), strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_a_batch_taken_by_hand_reads_like_trls_and_the_model_takes_it(tmp_path: Path) -> None:
    def taken(trainer: Any) -> tuple[Any, Any, float]:
        batch = next(iter(trainer.get_train_dataloader()))
        texts = trainer.processing_class.batch_decode(batch["input_ids"])
        return texts, batch["labels"].tolist(), trainer.model(**batch).loss.item()

    theirs, ours = both("sft", tmp_path, taken)
    assert theirs[:2] == ours[:2]
    assert theirs[2] == pytest.approx(ours[2], abs=1e-5)


def smoothed(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    logits, labels = outputs.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)


def weighted(self: Any, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
    labels = inputs.pop("labels")
    outputs = model(**inputs)
    loss = smoothed(outputs, labels)
    return (loss, outputs) if return_outputs else loss


@pytest.mark.parametrize("how", ["compute_loss_func", "compute_loss"])
def test_a_loss_put_into_a_trainer_that_was_made_trains_as_in_trl(how: str, tmp_path: Path) -> None:
    def losses(trainer: Any) -> list[float]:
        setattr(trainer, how, smoothed if how == "compute_loss_func" else types.MethodType(weighted, trainer))
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    theirs, ours = both("sft", tmp_path, losses)
    assert len(ours) == 2
    assert theirs == pytest.approx(ours, abs=1e-5)


def test_labels_changed_after_the_collator_count_as_changed(tmp_path: Path) -> None:
    """The first scored token of each row is left out by hand."""

    def loss(trainer: Any) -> float:
        batch = next(iter(trainer.get_train_dataloader()))
        first = (batch["labels"] != -100).int().argmax(dim=1, keepdim=True)
        batch["labels"].scatter_(1, first, -100)
        return trainer.compute_loss(trainer.model, batch).item()

    theirs, ours = both("sft", tmp_path, loss)
    assert theirs == pytest.approx(ours, abs=1e-5)
