"""Each verb takes a folder in its authors' layout by name: ask, eval, preview and training, to an ordinary folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.cli.main import run
from sightline.models.load import load_vlm
from tests.models.ports.moondream.published import write_folder
from tests.models.ports.qwen_vl.tiny import published as qwen_vl
from tests.models.published import test_deepseek_vl, test_llava, test_yi_vl
from tests.tiny import picture


def deepseek_vl(folder: Path, two: bool) -> Path:
    test_deepseek_vl.checkpoint(folder, two)
    return folder


def yi_vl(folder: Path) -> Path:
    test_yi_vl.checkpoint(folder)
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "llava 1.5": lambda folder: test_llava.checkpoint(folder, anyres=False).folder,
    "llava 1.6": lambda folder: test_llava.checkpoint(folder).folder,
    "deepseek-vl 1.3B": lambda folder: deepseek_vl(folder, two=False),
    "deepseek-vl 7B": lambda folder: deepseek_vl(folder, two=True),
    "yi-vl": lambda folder: yi_vl(folder),
    "moondream2 A": lambda folder: write_folder(folder, "A"),
    "moondream2 B": lambda folder: write_folder(folder, "B"),
    "moondream2 C": lambda folder: write_folder(folder, "C"),
    "moondream2 D": lambda folder: write_folder(folder, "D"),
    "qwen-vl": lambda folder: qwen_vl(folder, chat=False, shards=".safetensors"),
    "qwen-vl-chat": qwen_vl,
}


@pytest.fixture(scope="module", params=list(MAKERS))
def folder(request, tmp_path_factory):
    return MAKERS[request.param](tmp_path_factory.mktemp("published") / "model")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    place = tmp_path_factory.mktemp("rows")
    lines = []
    for index in range(4):
        picture(index).save(place / f"{index}.png")
        lines.append({"image": f"{index}.png", "question": "Is it red?", "answer": "yes" if index % 2 else "no"})
    (place / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return place / "rows.jsonl"


@pytest.mark.slow
def test_eval_answers_its_questions(folder, rows, tmp_path):
    asked = ["eval", str(folder), "--data", str(rows), "--limit", "4", "--output_dir", str(tmp_path / "out")]
    assert run(asked) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert next(iter(results["tasks"].values()))["n"] == 4


@pytest.mark.slow
def test_preview_shows_a_row_as_the_model_reads_it(folder, rows, tmp_path):
    assert run(["data", "preview", str(rows), "--model", str(folder), "--output_dir", str(tmp_path / "page")]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--use_peft"]], ids=["whole", "adapter"])
def test_sft_trains_it_and_what_is_saved_answers_and_is_an_ordinary_folder(folder, rows, tmp_path, more):
    trained = ["sft", str(folder), str(rows), "--max_steps", "2", "--output_dir", str(tmp_path / "out"), *more]
    assert run([*trained, "--per_device_train_batch_size", "2", "--report_to", "none", "--bf16", "false"]) == 0
    saved = load_vlm(tmp_path / "out", device="cpu")
    assert saved.adapted == bool(more)
    if saved.adapted:
        assert run(["merge", str(tmp_path / "out"), str(tmp_path / "merged")]) == 0
        stops = load_vlm(folder, device="cpu").model.generation_config.eos_token_id
        assert load_vlm(tmp_path / "merged", device="cpu").model.generation_config.eos_token_id == stops
    assert run(["ask", str(tmp_path / "out"), str(rows.parent / "0.png"), "Is it red?", "--max_new_tokens", "8"]) == 0
