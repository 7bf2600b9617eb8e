"""Before the first step each row is rendered once, and each distinct picture opened once, by whoever plans the run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import sightline
from sightline.data.encoding import rendering
from sightline.data.pictures import images
from sightline.data.sources.datasets import read_dataset
from sightline.inspection.doctor import diagnose
from sightline.training.arguments import read_settings
from sightline.training.plan import DPO, plan_run
from sightline.training.recipe import CONFIGS
from sightline.training.row_test import COMPARED_ROWS, ROUTE_ROWS
from sightline.training.run import make_trainer
from sightline.training.source import ModelSource
from tests.tiny import picture, tiny_llava, tiny_processor

ROWS, PICTURES = 200, 20
TESTED = COMPARED_ROWS + ROUTE_ROWS  # pictures of rows that are held against what TRL and the processor make of them
METHODS = [("sft", {}), ("sft", {"packing": True}), ("dpo", {"reference_store": "off", "image_margin_rows": 0})]
LENGTHS = [{"max_length": None}, {"max_length": 64}, {"max_length": 30, "length_policy": "drop"}]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], Counter[str]]:
    """How often each row was rendered, by what it says, and how often each picture was opened, by its name."""
    rendered, opened = Counter[str](), Counter[str]()
    render, open_stored = vars(rendering)["render_columns"], vars(images)["opened_picture"]

    def counting_render(processor: Any, row: Any, *arguments: Any) -> Any:
        rendered[json.dumps(row["prompt"])] += 1
        return render(processor, row, *arguments)

    def counting_open(stored: Any, *arguments: Any) -> Any:
        opened[Path(stored).name] += 1
        return open_stored(stored, *arguments)

    monkeypatch.setattr(rendering, "render_columns", counting_render)
    monkeypatch.setattr(images, "opened_picture", counting_open)
    return rendered, opened


def write_rows(folder: Path, method: str) -> Path:
    """Rows that all ask something else, about few pictures; every tenth is longer than 30 tokens."""
    for number in range(PICTURES):
        picture(number, 8 + number).save(folder / f"{number}.png")
    lines = []
    for number in range(ROWS):
        asked = " ".join([str(number), *["what is this ?"] * (3 if number % 10 == 0 else 1)])
        said: dict[str, Any] = {"question": asked, "answer": "red circle"}
        if method == DPO:
            said = {name: [{"role": role, "content": text}] for name, role, text in pair(asked)}
        lines.append(json.dumps({"image": f"{number % PICTURES}.png", **said}) + "\n")
    file = folder / "rows.jsonl"
    file.write_text("".join(lines))
    return file


def pair(asked: str) -> list[tuple[str, str, str]]:
    return [("prompt", "user", asked), ("chosen", "assistant", "red circle"), ("rejected", "assistant", "blue")]


def settings_of(folder: Path, file: Path | None, method: str, given: dict[str, Any]) -> Any:
    fixed = {"bf16": False, "gradient_checkpointing": False, "disable_tqdm": True, "report_to": "none", "max_steps": 1}
    recipe = folder / "recipe.yaml"
    named = {} if file is None else {"dataset_name": str(file)}
    recipe.write_text(json.dumps({**named, "output_dir": str(folder / "run"), **fixed, **given}))
    return read_settings(["--config", str(recipe)], CONFIGS[method])


def saved_model(folder: Path) -> str:
    tiny_llava().save_pretrained(folder / "model")
    return str(folder / "model")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("method", "given"), METHODS)
def test_a_command_renders_a_row_once_and_opens_a_picture_once(
    counted: Any, method: str, given: dict[str, Any], length: dict[str, Any], tmp_path: Path
) -> None:
    rendered, opened = counted
    settings = settings_of(tmp_path, write_rows(tmp_path, method), method, given | length)
    trainer = make_trainer(plan_run(settings, method, ModelSource(saved_model(tmp_path), tiny_processor())))
    trainer.get_train_dataloader()
    assert len(trainer.rows.train.dataset) == (ROWS - ROWS // 10 if "length_policy" in length else ROWS)
    assert len(rendered) == ROWS and set(rendered.values()) == {1}
    assert len(opened) == PICTURES and sum(opened.values()) <= PICTURES + TESTED and max(opened.values()) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("length", LENGTHS[1:])
@pytest.mark.parametrize(("method", "given"), METHODS)
def test_a_script_s_trainer_does_so_too(
    counted: Any, method: str, given: dict[str, Any], length: dict[str, Any], tmp_path: Path
) -> None:
    rendered, opened = counted
    settings = settings_of(tmp_path, write_rows(tmp_path, method), method, given | length)
    kind: Any = sightline.DPOTrainer if method == DPO else sightline.SFTTrainer
    rows = read_dataset(tmp_path / "rows.jsonl")
    trainer = kind(saved_model(tmp_path), args=settings.training, train_dataset=rows, processing_class=tiny_processor())
    trainer.get_train_dataloader()
    assert len(rendered) == ROWS and set(rendered.values()) == {1}
    assert len(opened) == PICTURES and sum(opened.values()) <= PICTURES + TESTED and max(opened.values()) <= 2


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("method", "given"), METHODS[::2])
def test_a_mixture_does_so_too_though_one_of_its_sources_has_no_pictures(
    counted: Any, method: str, given: dict[str, Any], length: dict[str, Any], tmp_path: Path
) -> None:
    rendered, opened = counted
    write_rows(tmp_path, method)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    words = [{name: value for name, value in row.items() if name != "image"} for row in rows[::4]]
    for row in words:
        asked = row["prompt"][0] if method == DPO else row
        name = "content" if method == DPO else "question"
        asked[name] = f"say {asked[name]}"
    (tmp_path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in words))
    sources = [{"path": str(tmp_path / name)} for name in ("rows.jsonl", "words.jsonl")]
    settings = settings_of(tmp_path, None, method, given | length | {"datasets": sources})
    trainer = make_trainer(plan_run(settings, method, ModelSource(saved_model(tmp_path), tiny_processor())))
    trainer.get_train_dataloader()
    read = trainer.rows.train.read
    assert read is not None and len(read) == len(trainer.train_dataset)
    assert sum(rendered.values()) <= ROWS + len(words) + TESTED, "tested rows have the columns of all sources by then"
    assert len(opened) == PICTURES and sum(opened.values()) <= PICTURES + TESTED and max(opened.values()) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("length", LENGTHS[1:])
@pytest.mark.parametrize(("method", "given"), METHODS)
def test_the_doctor_renders_a_row_once_though_it_trains_on_some(
    counted: Any, method: str, given: dict[str, Any], length: dict[str, Any], mixed: bool, tmp_path: Path
) -> None:
    rendered, _ = counted
    file = write_rows(tmp_path, method)
    given = given | length | ({"datasets": [{"path": str(file)}]} if mixed else {})
    settings = settings_of(tmp_path, None if mixed else file, method, given)
    source = ModelSource(saved_model(tmp_path), tiny_processor())
    seen = diagnose(plan_run(settings, method, source, is_checked=False))
    assert seen.trial is not None and seen.rows.kept == (ROWS - ROWS // 10 if "length_policy" in length else ROWS)
    assert len(rendered) == ROWS and set(rendered.values()) == {1}
