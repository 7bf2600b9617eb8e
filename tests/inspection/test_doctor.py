"""The doctor finds what would fail or waste a run, and nothing in a run that is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from sightline.cli.main import run
from sightline.data.formats.registry import FORMATS
from sightline.data.worlds.rows import write_world
from sightline.errors import ConfigError, InputError
from sightline.inspection.doctor import diagnose, diagnose_recipe
from sightline.inspection.environment import read_environment
from sightline.inspection.findings import Diagnosis, _of_shared_memory
from sightline.inspection.modules import report_modules
from sightline.models.build import build_vlm, preset_spec, save_vlm
from sightline.training.recipe import method_of
from sightline.training.source import ModelSource
from tests.inspection.planned import planned_run
from tests.tiny import preference_rows, tiny_llava, tiny_processor, vqa_rows


def texts(seen: Diagnosis) -> str:
    return "\n".join(finding.text for finding in seen.findings)


def of_model(model: Any, folder: Path, **settings: Any) -> Diagnosis:
    """The diagnosis of SFT of a tiny model."""
    plan = planned_run(
        folder, vqa_rows(8, 4), source=ModelSource(model, tiny_processor()), per_device_train_batch_size=2, **settings
    )
    return diagnose(plan)


def test_a_run_that_is_well_has_no_finding_and_every_part_a_figure(tmp_path: Path) -> None:
    model = tiny_llava()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    seen = of_model(model, tmp_path, dataloader_num_workers=2, dataloader_prefetch_factor=3)
    assert not seen.failed
    assert texts(seen).count("\n") == 0 and "model.vision_tower.post_layernorm" in texts(seen)  # LLaVA reads before it
    assert seen.rows.kept == 8 and seen.rows.trained > 0
    assert seen.steps == 12  # 8 rows, 2 a batch, 3 epochs
    assert {module.name for module in seen.modules} == {"vision tower", "projector", "decoder", "embeddings", "lm_head"}
    assert all(module.gradient and module.gradient > 0 for module in seen.modules)
    assert seen.memory is not None and seen.memory.gradients == seen.memory.optimizer / 2
    assert 0 < seen.memory.activations_with_checkpointing < seen.memory.activations_without_checkpointing
    assert seen.trial is not None and seen.trial.step_seconds > 0
    assert seen.route is not None and seen.route.route == "mask" and seen.batches_ahead == 6
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), "the trial must leave the weights as they are"


def test_a_max_length_that_leaves_no_answer_token_is_found_before_any_step(tmp_path: Path) -> None:
    seen = diagnose(planned_run(tmp_path, preference_rows(4, 2), "dpo", max_length=22))
    assert seen.failed and seen.rows.kept == 0
    assert "leaves no answer token of 4 of 4 rows" in texts(seen) and "0.6931" in texts(seen)


@pytest.mark.slow
@pytest.mark.parametrize(("free", "found", "failed"), [(2**40, False, False), (16_000, True, False), (100, True, True)])
def test_workers_whose_batches_find_no_room_in_shared_memory_are_found(
    free: int, found: bool, failed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Any = SimpleNamespace(memory=SimpleNamespace(inputs=4096), batches_ahead=8)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=free))
    findings = list(_of_shared_memory(seen))
    assert [finding.fails for finding in findings] == [failed] * found
    assert all("the workers of each process make 8 batches" in finding.text for finding in findings)
    seen.batches_ahead = 0
    assert list(_of_shared_memory(seen)) == []


@pytest.mark.slow
def test_a_max_length_that_drops_most_rows_fails_too(tmp_path: Path) -> None:
    rows = vqa_rows(4, 2)
    rows[0] |= {"question": "what ?", "answer": "red"}
    seen = diagnose(planned_run(tmp_path, rows, max_length=26, length_policy="drop"))
    assert seen.failed and seen.rows.dropped == 3 and "3 of 4 rows are left out" in texts(seen)


def test_a_frozen_model_is_found(tmp_path: Path) -> None:
    seen = of_model(tiny_llava().requires_grad_(False), tmp_path)
    assert seen.failed and "every parameter is frozen" in texts(seen) and seen.trial is None


@pytest.mark.slow
def test_a_tower_without_gradient_is_found(tmp_path: Path) -> None:
    model = tiny_llava()
    torch.nn.init.zeros_(model.model.multi_modal_projector.linear_1.weight)
    seen = of_model(model, tmp_path)
    assert seen.failed and "The vision tower trains" in texts(seen) and "no gradient reaches it" in texts(seen)


@pytest.mark.slow
def test_a_dead_part_of_a_module_is_named(tmp_path: Path) -> None:
    model = tiny_llava()
    model.model.multi_modal_projector.add_module("unused", torch.nn.Linear(4, 4))
    seen = of_model(model, tmp_path)
    assert not seen.failed and "model.multi_modal_projector.unused" in texts(seen)


@pytest.mark.slow
def test_adapters_are_a_module_whose_first_matrices_may_wait(tmp_path: Path) -> None:
    seen = of_model(tiny_llava(), tmp_path, use_peft="true")
    (adapters,) = (module for module in seen.modules if module.name == "adapters")
    assert adapters.trainable == adapters.parameters and adapters.gradient and not adapters.unreached
    assert not seen.failed and sum(module.trainable for module in seen.modules) == adapters.trainable


@pytest.mark.slow
def test_an_empty_answer_and_a_missing_answer_are_found(tmp_path: Path) -> None:
    rows = vqa_rows(4, 2)
    rows[2]["answer"] = " "
    seen = diagnose(planned_run(tmp_path, rows))
    assert seen.failed and "1 of 4 rows cannot be used" in texts(seen)


def test_keys_tell_the_method_and_rows_where_they_do_not(tmp_path: Path) -> None:
    assert method_of(["--beta", "0.1"]) == "dpo" and method_of(["--assistant_only_loss", "true"]) == "sft"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    file = tmp_path / "rows.jsonl"
    for one in FORMATS:
        file.write_text(json.dumps(one.example))
        assert method_of(["--dataset_name", str(file)]) == ("dpo" if one.goal == "preferences" else "sft"), one.name
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(json.dumps({"datasets": [{"path": str(file), "image_folder": str(tmp_path)}]}))
        assert method_of(["--config", str(recipe)]) == ("dpo" if one.goal == "preferences" else "sft"), one.name


@pytest.mark.slow
def test_a_run_on_text_alone_is_examined_and_said_to_be_one(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    turns = [{"role": "user", "content": "what ?"}, {"role": "assistant", "content": "red"}]
    rows.write_text(json.dumps({"messages": turns}) + "\n")
    given = ["--dataset_name", str(rows), "--preset", "nano", "--bf16", "false"]
    seen = diagnose_recipe(given, "sft", lambda items, total, title: items)
    assert "the run trains on text alone" in texts(seen)


def test_a_run_without_rows_to_evaluate_on_is_refused_before_it_costs_anything(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "what ?", "answer": "red"}\n')
    given = ["--dataset_name", str(rows), "--preset", "nano", "--bf16", "false", "--eval_strategy", "steps"]
    with pytest.raises(ConfigError, match="rows.jsonl has no split 'test' to evaluate on, and eval_strategy is steps"):
        diagnose_recipe([*given, "--eval_steps", "1"], "sft", lambda items, total, title: items)


def test_image_tokens_that_are_not_as_many_as_features_are_an_input_error(tmp_path: Path) -> None:
    processor = tiny_processor()
    processor.patch_size *= 2
    plan = planned_run(tmp_path, vqa_rows(2, 2), source=ModelSource(tiny_llava(), processor))
    with pytest.raises(InputError, match="a model in memory|Image features and image tokens do not match"):
        diagnose(plan)


def test_ties_are_one_module() -> None:
    built = build_vlm(preset_spec("nano"), seed=0)
    names = [module.name for module in report_modules(built.model, with_gradients=False)]
    assert sorted(names) == ["decoder", "embeddings (tied with lm_head)", "projector", "vision tower"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", ["easy_vqa", "demo/look", "demo/sft", "demo/dpo", "demo/quick/look", "demo/quick/sft", "demo/quick/dpo"]
)
def test_nothing_is_wrong_with_a_shipped_recipe(recipe: str, tmp_path: Path, monkeypatch, shared: Path) -> None:
    write_world(tmp_path / "demo/world", seed=0, train_scenes=40, heldout_scenes=2, look_scenes=200)
    save_vlm(build_vlm(preset_spec("nano"), seed=0), tmp_path / "demo/look")
    save_vlm(build_vlm(preset_spec("nano"), seed=0), tmp_path / "demo/trained")
    mistakes = [
        {"image": f"images/{file.name}", "question": "What is there?", "chosen": "a red box", "rejected": "a blue box"}
        for file in sorted((tmp_path / "demo/world/images").iterdir())[:40]
    ]
    lines = "\n".join(map(json.dumps, mistakes))
    (tmp_path / "demo/world/mistakes.jsonl").write_text(lines)
    monkeypatch.setenv("SIGHTLINE_SHARED", str(shared))
    monkeypatch.chdir(tmp_path)
    seen = diagnose_recipe(["--config", f"recipes/{recipe}.yaml"], None, lambda items, total, title: items)
    assert not seen.findings and seen.trial is not None


@pytest.mark.slow
def test_estimated_memory_is_within_a_fifth_of_the_measured_peak(root: Path) -> None:
    """Of LoRA with gradient checkpointing; the benchmark has all six shapes."""
    monkeypatched = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1048576"}
    command = [sys.executable, "benchmarks/doctor_memory.py", "LoRA", "True"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=monkeypatched, cwd=root)
    assert abs(json.loads(done.stdout.splitlines()[-1])["difference"]) <= 0.2


def test_the_environment_names_versions_and_fits_one_line(capsys) -> None:
    found = read_environment()
    assert found.line.startswith("sightline ") and "\n" not in found.line and f"torch {torch.__version__}" in found.line
    assert all(package.version and not package.problem for package in found.packages[:9])
    assert run(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["line"] == read_environment().line
