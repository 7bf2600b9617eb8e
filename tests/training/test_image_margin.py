"""The image-dependence margin is the difference of two reward margins, and training does not notice it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig

import sightline
import sightline.training
from sightline.data.encoding.preferences import with_changed_images
from sightline.data.pictures.augmentation import Blank
from sightline.errors import ConfigError
from sightline.training.image_margin import ImageMargin
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor

pytestmark = pytest.mark.slow


def trainer(folder: Path, lora: bool = True, rows: Any = None, dropout: float = 0.0, **given: Any) -> Any:
    adapter = LoraConfig(r=4, lora_dropout=dropout, target_modules=r".*language_model.*(q_proj|v_proj|up_proj)")
    rows = rows if rows is not None else preference_rows(8, 4)
    torch.manual_seed(5)
    return sightline.DPOTrainer(
        model=tiny_llava(1),
        ref_model=None if lora else tiny_llava(1),
        args=sightline.DPOConfig(
            output_dir=str(folder),
            **SHORT_RUN,
            max_steps=4,
            per_device_train_batch_size=4,
            learning_rate=1e-2,
            disable_dropout=not dropout,
            **given,
        ),
        train_dataset=Dataset.from_list(rows) if isinstance(rows, list) else rows,
        processing_class=tiny_processor(),
        peft_config=adapter if lora else None,
    )


def logged(trained: Any, name: str) -> list[float]:
    trained.train()
    return [entry[name] for entry in trained.state.log_history if name in entry]


def callbacks(trained: Any) -> list[ImageMargin]:
    return [one for one in trained.callback_handler.callbacks if isinstance(one, ImageMargin)]


@pytest.mark.parametrize(("lora", "stores"), [(True, "on"), (False, "on"), (False, "off")])
def test_it_is_logged_and_starts_at_zero(lora: bool, stores: str, tmp_path: Path) -> None:
    trained = trainer(tmp_path, lora, image_margin_rows=3, reference_store=stores)
    (margin,) = callbacks(trained)
    assert margin.measure() == pytest.approx(0, abs=1e-6)
    found = logged(trained, "rewards/image_margin")
    assert len(found) == 4 and max(map(abs, found)) > 1e-3


@pytest.mark.parametrize(("losses", "share"), [("sigmoid", "mask"), ("mdpo", "mask"), ("mdpo", "plain")])
def test_it_is_the_reward_margin_with_the_images_minus_that_with_blank_ones(
    losses: str, share: str, tmp_path: Path
) -> None:
    """TRL's own metric of the two sets of rows; batches of 4 rows, the sample measured in the same."""
    trained = trainer(tmp_path, image_margin_rows=8, reference_store="off", share=share, loss_type=losses)
    trained.train()
    parts = []
    for rows in (list(trained.train_dataset), [with_changed_images(row, Blank()) for row in trained.train_dataset]):
        trained._metrics["train"].clear()
        with torch.no_grad():
            trained._compute_loss(trained.model.train(), trained.data_collator(rows), return_outputs=False)
        parts += trained._metrics["train"]["rewards/margins"]
    (margin,) = callbacks(trained)
    assert trained.beta * margin.measure() == pytest.approx(parts[0] - parts[1], abs=1e-5)
    assert abs(parts[0] - parts[1]) > 1e-3, "a margin of zero proves nothing"


@pytest.mark.parametrize("stores", ["on", "off"])
def test_losses_equal_those_of_a_run_that_measures_nothing(stores: str, tmp_path: Path) -> None:
    """Dropout draws random numbers in every step, so a measurement that drew any would move all later losses."""
    runs = [
        logged(trainer(tmp_path, dropout=0.2, image_margin_rows=rows, reference_store=stores), "loss")
        for rows in (0, 4)
    ]
    assert runs[0] == runs[1] and max(runs[0]) - min(runs[0]) > 1e-4


def test_a_decoder_that_sees_no_picture_has_none(tmp_path: Path) -> None:
    trained = trainer(tmp_path, image_margin_rows=3, feature_store="off")
    base = trained.model.get_base_model()
    with torch.no_grad():
        for parameter in base.model.multi_modal_projector.parameters():
            parameter.zero_()
        for name, parameter in trained.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    (margin,) = callbacks(trained)
    blind = ImageMargin(trained.parts, margin._samples[0], trained._ask_reference, trained._log_margin)
    assert blind.measure() == pytest.approx(0, abs=1e-5)


def test_several_rejected_answers_count_each(tmp_path: Path) -> None:
    rows = preference_rows(4, 2)
    lists = [{**row, "rejected": [row["rejected"], [{"role": "assistant", "content": "no"}]]} for row in rows]
    (margin,) = callbacks(trainer(tmp_path, rows=lists, image_margin_rows=4))
    assert [len(margin_B) for margin_B in margin._reference_margins] == [8, 8]


def test_rows_without_images_are_not_in_the_sample(
    tmp_path: Path,
) -> None:
    rows = [{**row, "images": []} if index % 3 else row for index, row in enumerate(preference_rows(30, 4))]
    (margin,) = callbacks(trainer(tmp_path, rows=rows, image_margin_rows=4))
    assert len(margin._samples[0]) == 4 and all(row["images"] for row in margin._samples[0])


def test_the_cost_is_said_and_zero_rows_measure_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert callbacks(trainer(tmp_path, image_margin_rows=0)) == []
    assert "image_margin" not in capsys.readouterr().err
    trainer(tmp_path, image_margin_rows=2)
    assert "2 rows with their images and with blank ones, 10 times a run, about" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "reason"),
    [("ld_alpha", "ld_alpha weighs the tokens"), ("stream", "train_dataset is streamed"), ("text", "no row")],
)
def test_where_it_cannot_be_measured_the_reason_is_said(
    change: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: Any = preference_rows(4, 2)
    if change == "stream":
        rows = Dataset.from_list(rows).to_iterable_dataset()
    if change == "text":
        rows = [{**row, "images": []} for row in rows]
    more: dict[str, Any] = {"ld_alpha": 0.5} if change == "ld_alpha" else {}
    assert callbacks(trainer(tmp_path, rows=rows, **more)) == []
    assert f"rewards/image_margin is not measured: {reason}" in capsys.readouterr().err


def test_a_negative_number_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="image_margin_rows: expected a number of rows, 0 for none; got -1"):
        trainer(tmp_path, image_margin_rows=-1)
