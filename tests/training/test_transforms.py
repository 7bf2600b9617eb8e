"""Datasets whose rows are made or formatted when they are read train as in TRL, and nothing drawn is kept."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset
from PIL import Image, ImageEnhance
from transformers import LlavaForConditionalGeneration

import sightline
from sightline.data.formats.columns import sft_rows
from sightline.errors import ConfigError, DataError
from tests.tiny import SHORT_RUN, picture, preference_rows, tiny_llava, tiny_processor

pytestmark = pytest.mark.slow  # each test trains


ASKED, RED = [{"role": "user", "content": "what is this ?"}], [{"role": "assistant", "content": "a red circle"}]
BLUE = [{"role": "assistant", "content": "a blue square"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(4):
        picture(index).save(tmp_path / f"{index}.png")
    return tmp_path


def opened(folder: Path, method: str, change: Any = lambda image: image) -> Dataset:
    """Rows of file names, whose pictures a transform opens and changes."""

    def transform(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        count = len(batch["file"])
        images = [[change(Image.open(folder / name).convert("RGB"))] for name in batch["file"]]
        texts = {"completion": RED} if method == "sft" else {"chosen": RED, "rejected": BLUE}
        return {"images": images, "prompt": [ASKED] * count, **{name: [text] * count for name, text in texts.items()}}

    return Dataset.from_dict({"file": [f"{index}.png" for index in range(4)]}).with_transform(transform)


def make(library: Any, method: str, folder: Path, train: Any, **given: Any) -> Any:
    settings: dict[str, Any] = {"per_device_train_batch_size": 2, "num_train_epochs": 2, "remove_unused_columns": False}
    settings |= {"train_sampling_strategy": "sequential", "learning_rate": 1e-3, "output_dir": str(folder / "run")}
    arguments: dict[str, Any] = {"ref_model": tiny_llava(2)} if method == "dpo" else {}
    arguments |= {"eval_dataset": given.pop("eval_dataset")} if "eval_dataset" in given else {}
    trainer, config = (getattr(library, method.upper() + kind) for kind in ("Trainer", "Config"))
    return trainer(
        model=frozen_tower(),
        args=config(**{**SHORT_RUN, **settings, **given}),
        train_dataset=train,
        processing_class=tiny_processor(),
        **arguments,
    )


def frozen_tower() -> LlavaForConditionalGeneration:
    """A model whose features could be stored."""
    model = tiny_llava(1)
    model.model.vision_tower.requires_grad_(False)
    return model


def losses(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_pictures_that_a_transform_opens_train_as_in_trl(
    method: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder / "cache"))
    ours, theirs = (
        make(library, method, folder, opened(folder, method), train_sampling_strategy="random")
        for library in (sightline, trl)
    )
    assert ours.route.route == "mask"
    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-5)
    assert not (folder / "cache").exists(), "features or references of rows that are made anew were stored"


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_what_a_transform_draws_is_new_in_each_epoch(
    method: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder / "cache"))
    drawn = itertools.count()

    def darken(image: Image.Image) -> Image.Image:
        return ImageEnhance.Brightness(image).enhance(1 - 0.01 * next(drawn))

    trainer = make(sightline, method, folder, opened(folder, method, darken))
    seen: list[float] = []
    collate = trainer.data_collator

    def watched(rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = collate(rows)
        seen.append(float(batch["pixel_values"].mean()))
        return batch

    trainer.data_collator = watched
    losses(trainer)
    first, second = seen[:2], seen[2:4]
    assert len(seen) == 4
    assert all(later < earlier for earlier, later in zip(first, second, strict=True))
    assert not (folder / "cache").exists()


@pytest.mark.parametrize(("setting", "value"), [("feature_store", "on"), ("reference_store", "on")])
def test_a_store_that_is_insisted_on_is_refused_beside_a_transform(setting: str, value: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"{setting} is on, but the transform of train_dataset makes its rows anew"):
        make(sightline, "dpo", folder, opened(folder, "dpo"), **{setting: value})


def test_references_are_not_stored_where_evaluation_rows_are_made_anew(folder: Path) -> None:
    rows = Dataset.from_list(preference_rows(4, 4))
    trainer = make(sightline, "dpo", folder, rows, eval_dataset=opened(folder, "dpo"), remove_unused_columns=False)
    assert trainer.data_collator.references is None
    assert trainer.evaluate()["eval_loss"] == pytest.approx(
        make(trl, "dpo", folder, rows, eval_dataset=opened(folder, "dpo")).evaluate()["eval_loss"], abs=1e-5
    )


@pytest.mark.parametrize(
    ("given", "setting"),
    [({"packing": True}, "packing"), ({"max_length": 64, "length_policy": "drop"}, "length_policy drop")],
)
def test_what_reads_every_row_before_training_is_refused(given: dict[str, Any], setting: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"{setting} reads every row .*, but the transform of train_dataset makes"):
        make(sightline, "sft", folder, opened(folder, "sft"), **given)


def asked_and_answered(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    count = len(batch["file"])
    return {"image": [picture(0)] * count, "question": ["what ?"] * count, "answer": ["red"] * count}


def test_rows_that_a_transform_makes_can_be_given_to_a_worker_that_starts_anew(folder: Path) -> None:
    rows = sft_rows(Dataset.from_dict({"file": ["0.png"]}).with_transform(asked_and_answered), "rows").dataset
    assert pickle.loads(pickle.dumps(rows))[0]["completion"] == rows[0]["completion"]


def test_rows_of_other_formats_that_a_transform_makes_are_brought_into_trls_columns(folder: Path) -> None:
    def transform(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        count = len(batch["file"])
        images = [Image.open(folder / name) for name in batch["file"]]
        return {"image": images, "question": ["what is this ?"] * count, "answer": ["red"] * count}

    files = Dataset.from_dict({"file": [f"{index}.png" for index in range(4)]})
    row = sft_rows(files.with_transform(transform), "rows").dataset[2]
    assert (row["completion"][0]["content"], row["image"].size) == ("red", (40, 40))
    two = files.with_transform(lambda batch: {"image": [picture(0)], "captions": [["one", "two"]]})
    with pytest.raises(DataError, match="a row that its transform makes: expected one row of it, got 2"):
        sft_rows(two, "rows").dataset[0]


@pytest.mark.parametrize("kind", ["torch", "numpy", "arrow"])
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_formatted_datasets_train_as_the_rows_behind_the_format(method: str, kind: str, folder: Path) -> None:
    rows = preference_rows(4, 4)
    if method == "sft":
        rows = [{"images": row["images"], "prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
    plain = Dataset.from_list(rows)
    given = {"feature_store": "off"} | ({"reference_store": "off"} if method == "dpo" else {})
    ours = make(sightline, method, folder, plain.with_format(kind), **given)
    assert losses(ours) == pytest.approx(losses(make(trl, method, folder, plain)), abs=1e-5)


def test_a_format_that_shows_some_columns_hides_the_others(folder: Path) -> None:
    rows = [{"images": [picture(0)], "prompt": ASKED, "completion": RED, "messages": ASKED + BLUE}] * 2
    shown = Dataset.from_list(rows).with_format("torch", columns=["images", "prompt", "completion"])
    trainer = make(sightline, "sft", folder, shown, feature_store="off")
    assert "messages" not in trainer.train_dataset.column_names
