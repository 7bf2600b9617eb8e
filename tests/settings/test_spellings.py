"""What settings were called in 2024 is read as today's names, said once, and refused where nothing stands for it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import pytest
import trl
from transformers import HfArgumentParser

import sightline
from sightline.errors import ConfigError
from sightline.settings import spellings
from sightline.training.arguments import read_settings

CONFIGS = (sightline.SFTConfig, sightline.DPOConfig)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spellings, "_SAID", set())


def config(kind: Any, folder: Path, **given: Any) -> Any:
    return kind(output_dir=str(folder), bf16=False, **given)


@pytest.mark.parametrize("kind", CONFIGS)
def test_names_of_2024_fill_todays_and_one_line_says_so_once(kind: Any, tmp_path: Path, capsys: Any) -> None:
    old = {"evaluation_strategy": "steps", "warmup_ratio": 0.03, "no_cuda": True, "eval_steps": 5}
    made = (
        config(kind, tmp_path, **old, max_seq_length=99)
        if kind is sightline.SFTConfig
        else config(kind, tmp_path, **old)
    )
    assert (made.eval_strategy, made.warmup_steps, made.use_cpu) == ("steps", 0.03, True)
    assert kind is sightline.DPOConfig or made.max_length == 99
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Spelling")]
    assert len(lines) == 1 and "evaluation_strategy is eval_strategy today" in lines[0]
    config(kind, tmp_path, **old)
    assert "Spelling" not in capsys.readouterr().err


def test_every_name_of_today_in_the_table_is_a_setting() -> None:
    known = {field.name for kind in CONFIGS for field in dataclasses.fields(kind)}
    assert set(spellings.RENAMED.values()) <= known
    assert not known & {*spellings.RENAMED, *spellings.ENDED}


@pytest.mark.parametrize(
    ("name", "value", "today"),
    [
        ("reference_free", True, "ref_model"),
        ("rpo_alpha", 1.0, "loss_weights"),
        ("group_by_length", True, "train_sampling_strategy"),
        ("save_safetensors", False, "safetensors"),
    ],
)
def test_what_nothing_stands_for_is_refused_with_what_to_use(name: str, value: Any, today: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name}: TRL 1.16 has no such setting; got {value}. Today .*{today}"):
        config(sightline.DPOConfig, tmp_path, **{name: value})


def test_what_ended_without_harm_is_said_and_its_old_default_is_not(tmp_path: Path, capsys: Any) -> None:
    config(sightline.DPOConfig, tmp_path, max_prompt_length=512, label_pad_token_id=-100, rpo_alpha=None)
    said = capsys.readouterr().err
    assert "max_prompt_length is no setting today: prompts are kept whole" in said
    assert "label_pad" not in said


def test_two_values_under_two_names_are_refused(tmp_path: Path) -> None:
    assert config(sightline.SFTConfig, tmp_path, max_seq_length=64, max_length=64).max_length == 64
    with pytest.raises(ConfigError, match="max_seq_length: expected one value, since it is max_length today"):
        config(sightline.SFTConfig, tmp_path, max_seq_length=64, max_length=65)


def test_an_unknown_name_is_refused_as_any_record_does(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="max_seq_len"):
        config(sightline.SFTConfig, tmp_path, max_seq_len=64)


@pytest.mark.parametrize("kind", CONFIGS)
def test_arguments_that_trl_saved_make_a_config(kind: Any, tmp_path: Path) -> None:
    """`to_dict` of transformers writes <EOS_TOKEN> and <HUB_TOKEN>, set or not, which no tokenizer knows."""
    saved = getattr(trl, kind.__name__)(output_dir=str(tmp_path), bf16=False, learning_rate=3e-4).to_dict()
    assert saved["hub_token"] == "<HUB_TOKEN>"
    made = kind(**saved)
    assert (made.learning_rate, made.hub_token, made.pad_token) == (3e-4, None, None)


@pytest.mark.parametrize("kind", CONFIGS)
def test_configs_are_copied_pickled_replaced_and_parsed(kind: Any, tmp_path: Path) -> None:
    made = config(kind, tmp_path, share="plain")
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), dataclasses.replace(made)):
        assert again.share == "plain" and again.to_dict() == made.to_dict()
    argv = ["--dataset_name", "x", "--output_dir", str(tmp_path), "--bf16", "false", "--share", "plain"]
    records = (sightline.ScriptArguments, kind, sightline.ModelConfig)
    for parsed in (
        HfArgumentParser(records).parse_args_into_dataclasses(argv),
        sightline.TrlParser(records).parse_args_and_config(argv),
    ):
        assert type(parsed[1]) is kind and parsed[1].share == "plain"


def test_recipes_and_flags_of_2024_are_read(tmp_path: Path, capsys: Any) -> None:
    recipe = tmp_path / "old.yaml"
    recipe.write_text("max_seq_length: 128\nevaluation_strategy: no\noverwrite_output_dir: true\nbf16: false\n")
    argv = ["--config", str(recipe), "--output_dir", str(tmp_path), "--dataset_batch_size", "1000", "--no_cuda", "true"]
    training = read_settings(argv, sightline.SFTConfig).training
    assert (training.max_length, training.eval_strategy, training.use_cpu) == (128, "no", True)
    said = capsys.readouterr().err
    assert "max_seq_length is max_length today" in said and "overwrite_output_dir is no setting today" in said
    with pytest.raises(ConfigError, match="command line: reference_free: TRL 1.16 has no such setting"):
        read_settings(["--output_dir", str(tmp_path), "--reference_free", "true"], sightline.DPOConfig)
