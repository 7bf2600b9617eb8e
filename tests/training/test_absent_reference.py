"""A run that kept no reference model scores pairs that come later against the same one, or says where it went."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset

import sightline
from sightline.errors import ConfigError
from tests.tiny import SHORT_RUN, preference_rows, tiny_folder, tiny_llava, tiny_processor

pytestmark = pytest.mark.slow  # each test trains


NEW = Dataset.from_list(preference_rows(3, 3, seed=5))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_folder(tmp_path / "model")
    return tmp_path / "model"


def trained(library: Any, model: Any, out: Path, **given: Any) -> Any:
    settings = {**SHORT_RUN, "num_train_epochs": 1, "learning_rate": 1e-3, "per_device_train_batch_size": 2, **given}
    trainer = library.DPOTrainer(
        model=model,
        args=library.DPOConfig(output_dir=str(out), **settings),
        train_dataset=Dataset.from_list(preference_rows(4, 4)),
        processing_class=tiny_processor(),
    )
    trainer.train()
    return trainer


def test_new_pairs_after_training_have_trls_metrics_and_the_model_is_saved(folder: Path, capsys: Any) -> None:
    found = []
    for library in (trl, sightline):
        trainer = trained(library, str(folder), folder.parent / library.__name__)
        found.append(trainer.evaluate(NEW))
        trainer.save_model()
        assert (folder.parent / library.__name__ / "model.safetensors").exists()
    for name in ("eval_loss", "eval_rewards/margins", "eval_rewards/chosen", "eval_logps/rejected"):
        assert found[0][name] == pytest.approx(found[1][name], abs=1e-4)
    assert abs(found[0]["eval_rewards/margins"]) > 1e-3
    assert "Reference: taken from" in capsys.readouterr().err


def test_new_pairs_before_training_and_predictions_of_them_have_a_reference_too(folder: Path) -> None:
    args = sightline.DPOConfig(output_dir=str(folder.parent / "out"), num_train_epochs=1, **SHORT_RUN)
    rows = Dataset.from_list(preference_rows(4, 4))
    trainer = sightline.DPOTrainer(model=str(folder), args=args, train_dataset=rows)
    assert trainer.ref_model is None
    assert trainer.predict(NEW).metrics["test_loss"] == pytest.approx(0.693147, abs=1e-5)
    assert trainer.evaluate(NEW)["eval_loss"] == pytest.approx(0.693147, abs=1e-5)


def test_a_model_in_memory_that_no_folder_has_is_remembered(tmp_path: Path) -> None:
    trainer = trained(sightline, tiny_llava(), tmp_path)
    assert trainer.ref_model is None
    reference = sightline.DPOTrainer(
        model=tiny_llava(),
        ref_model=tiny_llava(),
        args=sightline.DPOConfig(str(tmp_path), **SHORT_RUN),
        train_dataset=NEW,
        processing_class=tiny_processor(),
    )
    reference.model.load_state_dict(trainer.model.state_dict())
    expected, found = (one.evaluate(NEW)["eval_rewards/margins"] for one in (reference, trainer))
    assert found == pytest.approx(expected, abs=1e-5) and abs(found) > 1e-3


def test_a_run_goes_on_with_what_is_stored_after_new_pairs_were_scored(folder: Path) -> None:
    trainer = trained(sightline, str(folder), folder.parent / "out")
    trainer.evaluate(NEW)
    assert not trainer.reference_watch.ended
    assert trainer.reference_watch.holds(trainer.ref_model)


def test_a_folder_that_holds_another_model_by_now_is_no_reference(folder: Path) -> None:
    trainer = trained(sightline, str(folder), folder)
    trainer.save_model()
    with pytest.raises(ConfigError, match=r"holds other weights than it had then. .* save_model\(\) saves it"):
        trainer.evaluate(NEW)


def test_a_folder_that_is_gone_is_named_and_the_model_can_still_be_saved(folder: Path) -> None:
    trainer = trained(sightline, str(folder), folder.parent / "out")
    os.rename(folder, folder.parent / "elsewhere")
    with pytest.raises(ConfigError, match="could not be loaded from .*Pass them as eval_dataset"):
        trainer.evaluate(NEW)
    trainer.save_model()
    assert (folder.parent / "out" / "model.safetensors").exists()
