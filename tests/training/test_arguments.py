"""Settings of training commands arrive as they were typed or written, whatever YAML would make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import ConfigError
from sightline.training.arguments import MixtureConfig, read_records, read_settings
from sightline.training.dpo import DPOConfig
from sightline.training.sft import SFTConfig
from sightline.training.vilt.settings import read_vilt_settings

NAMES = ("010", "20261129_1840", "exp #3", "a: b", "[x]", "1e3", "true", "&b", "'q'")


@pytest.mark.parametrize("name", NAMES)
def test_names_of_models_folders_and_runs_are_taken_as_typed(name: str) -> None:
    argv = ["--model_name_or_path", name, "--output_dir", f"runs/{name}", "--dataset_name", name, "--run_name", name]
    for config in (SFTConfig, DPOConfig):
        settings = read_settings([*argv, "--bf16", "false"], config)
        assert (settings.model.model_name_or_path, settings.training.run_name) == (name, name)
        assert (settings.training.output_dir, settings.script.dataset_name) == (f"runs/{name}", name)
    given = read_vilt_settings(["--train_data", name, "--output_dir", name, "--bert", name, "--use_cpu", "true"])
    assert (given.data.train_data, given.training.output_dir, given.model.bert) == (name, name, name)


def test_names_of_a_recipe_are_taken_as_written_also_inside_a_mixture(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("PART", "007")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "model_name_or_path: ~/nano\noutput_dir: 010\nrun_name: true\nbf16: false\nlora_target_modules: [010, no]\n"
        "datasets:\n- {path: ~/a.jsonl, name: 010, split: 1e3, fraction: 0.5, rows: null, image_folder: '~/${PART}'}\n"
        "- {path: 12, fraction: 1}\n"
    )
    settings = read_settings(["--config", str(recipe)], SFTConfig)
    assert settings.model.model_name_or_path == "/home/ada/nano"
    assert (settings.training.output_dir, settings.training.run_name) == ("010", "true")
    assert settings.model.lora_target_modules == ["010", "no"]
    first, second = settings.mixture.datasets
    assert (first.path, first.name, first.split) == ("/home/ada/a.jsonl", "010", "1e3")
    assert (first.fraction, first.rows, first.image_folder) == (0.5, None, "/home/ada/007")
    assert (second.path, second.fraction) == ("12", 1.0)


def test_a_recipe_is_found_below_home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r.yaml").write_text("run_name: 010\n")
    for argv in (["--config=~/r.yaml"], ["--config", "${HOME}/r.yaml"]):
        assert read_settings([*argv, "--bf16", "false"], SFTConfig).training.run_name == "010"


@pytest.mark.parametrize(("typed", "choice"), [("true", "on"), ("false", "off"), ("on", "on"), ("auto", "auto")])
def test_true_turns_a_store_on_and_false_off(typed: str, choice: str) -> None:
    argv = ["--feature_store", typed, "--reference_store", typed, "--bf16", "false"]
    training = read_settings(argv, DPOConfig).training
    assert (training.feature_store, training.reference_store) == (choice, choice)
    assert read_settings(["--feature_store", "--bf16", "false"], SFTConfig).training.feature_store == "on"


def test_a_mixture_typed_as_a_flag_keeps_its_names() -> None:
    _, (mixture,) = read_records(["--datasets", "[{path: a, name: 010, rows: 3}]"], (MixtureConfig,))
    assert (mixture.datasets[0].name, mixture.datasets[0].rows) == ("010", 3)
    with pytest.raises(ConfigError, match="datasets, source 1: rows must be int or None, but is 'many'"):
        read_records(["--datasets", "[{path: a, rows: many}]"], (MixtureConfig,))


def test_a_model_takes_the_place_of_a_recipes_preset(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("preset: nano\nbf16: false\n")
    argv = ["--config", str(recipe), "--model_name_or_path=-m #1", "--no_preset"]
    settings = read_settings(argv, SFTConfig)
    assert (settings.model.model_name_or_path, settings.script.preset) == ("-m #1", None)
