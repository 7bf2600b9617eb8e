"""What people type for a setting is taken, or answered by the setting's own name, never by a wrong one."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.config import COMMAND_LINE
from sightline.errors import ConfigError
from sightline.settings.given import read_given
from sightline.settings.known import known_kinds, known_settings
from sightline.settings.spellings import ENDED, RENAMED
from sightline.settings.words import MEANT, SAID, SAID_IN_TRAINING, SAME, TAKEN, check_keys, hint, renamed, snake

SFT, DPO, VILT = (known_kinds(verb) for verb in ("sft", "dpo", "vilt"))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("model_id", "model_name_or_path"), ("model_path", "model_name_or_path"), ("pretrained", "model_name_or_path"),
        ("dataset", "dataset_name"), ("data", "dataset_name"), ("train_file", "dataset_name"),
        ("data_path", "dataset_name"), ("torch_dtype", "dtype"), ("output", "output_dir"), ("out", "output_dir"),
        ("lora_rank", "lora_r"), ("warmup", "warmup_steps"), ("wd", "weight_decay"), ("max_len", "max_length"),
        ("cutoff_len", "max_length"), ("model_max_length", "max_length"), ("grad_accum", "gradient_accumulation_steps"),
        ("bs", "per_device_train_batch_size"), ("per_device_batch_size", "per_device_train_batch_size"),
        ("num_epochs", "num_train_epochs"), ("lora_target", "lora_target_modules"), ("lora_enable", "use_peft"),
        ("val_size", "test_split_size"), ("media_dir", "image_folder"), ("flash_attn", "attn_implementation"),
        ("optimizer", "optim"), ("eval_dataset", "eval_dataset_name"), ("numWorkers", "dataloader_num_workers"),
        ("lora-rank", "lora_r"), ("use_adapters_x", ""), ("temperature_x", ""), ("frobnicate", ""),
    ],
)  # fmt: skip
def test_other_tools_words_are_answered_by_the_right_name_or_none(word: str, name: str) -> None:
    said = hint(word, SFT)
    assert said == (f"It is {name} here." if name else "")
    with pytest.raises(ConfigError, match=f"command line: unknown key --{word}. {said or 'No setting has a name'}"):
        check_keys({word: 1}, SFT, COMMAND_LINE)


@pytest.mark.parametrize("typo", ["learning_rat", "lerning_rate", "max_lenght", "output_dri", "sed", "warmup_step"])
def test_a_mistyped_name_is_answered_by_its_neighbour(typo: str) -> None:
    right = {"sed": "seed", "output_dri": "output_dir", "max_lenght": "max_length", "warmup_step": "warmup_steps"}
    assert hint(typo, SFT) == f"Did you mean '{right.get(typo, 'learning_rate')}'?"


@pytest.mark.parametrize("word", ["stage", "template", "finetuning_type", "quantization_bit", "vision_tower"])
def test_words_for_which_nothing_stands_say_what_to_do(word: str) -> None:
    assert hint(word, SFT) == SAID_IN_TRAINING[word]
    assert "chat_template_path" not in hint(word, {"model", "tasks"})


@pytest.mark.parametrize("odd", ["", "-", "_", " "])
def test_a_key_without_letters_is_unknown_and_no_fault(odd: str) -> None:
    assert hint(odd, {"learning_rate", "seed"}) == ""


def test_no_word_hides_a_setting_and_each_means_settings_that_exist() -> None:
    known = {*SFT, *DPO, *VILT}
    eval_options = {"model", "data", "source", "output_path", "limit", "predictions", "adapter", "endpoint", "tasks"}
    others = {"batch_tokens", "benchmarks", "concurrency", "system", "decoder", "tower", "config", "max_new_tokens"}
    assert set(MEANT) <= known | eval_options | others
    assert set(TAKEN.values()) <= set(SFT) & set(VILT) and set(SAME) <= known | {"model"}
    assert not {*TAKEN, *SAID_IN_TRAINING} & set(SFT)
    assert not {*SAID_IN_TRAINING, *SAID} & {*RENAMED, *ENDED}
    words = [word for words in MEANT.values() for word in words.split()]
    assert all(word == snake(word) for word in words)


@pytest.mark.parametrize("kinds", [SFT, DPO, VILT])
@pytest.mark.parametrize(
    ("argv", "name", "value", "line"),
    [
        (["--model", "m"], "model_name_or_path", "m", ""),
        (["--model-name-or-path=m"], "model_name_or_path", "m", ""),
        (["--lr", "1e-4"], "learning_rate", 1e-4, "lr is learning_rate here"),
        (["--epochs", "2"], "num_train_epochs", 2.0, "epochs is num_train_epochs here"),
        (["--batch-size", "2"], "per_device_train_batch_size", 2, "batch_size is per_device_train_batch_size here"),
        (["--maxSteps", "3"], "max_steps", 3, "maxSteps is max_steps here"),
    ],
)
def test_what_cannot_be_misunderstood_is_taken_in_flags_and_recipes(
    argv: list[str], name: str, value: Any, line: str, kinds: dict[str, Any], tmp_path: Any
) -> None:
    (given,) = read_given(argv, kinds)
    assert given.settings == {name: value}
    word = (argv[0].partition("=")[0])[2:]
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"{word}: {value}\n")
    assert read_given(["--config", str(recipe)], kinds)[0].settings == {name: value}
    assert renamed({word.replace("-", "_"): value}, kinds)[1] == ([line] if line else [])


def test_a_setting_under_two_names_must_have_one_value(tmp_path: Any) -> None:
    assert read_given(["--model", "m", "--model_name_or_path", "m"], SFT)[0].settings == {"model_name_or_path": "m"}
    with pytest.raises(ConfigError, match="command line: lr: expected one value, since it is the same as learning_rat"):
        read_given(["--learning_rate", "1", "--lr", "2"], SFT)
    recipe = tmp_path / "r.yaml"
    recipe.write_text("model: a\nmodel_name_or_path: b\n")
    with pytest.raises(ConfigError, match="model_name_or_path: expected one value, since it is the same as model; got"):
        read_given(["--config", str(recipe)], SFT)
    recipe.write_text("model: a\n")
    recipe_says, flags_say = read_given(["--config", str(recipe), "--model_name_or_path", "b"], SFT)
    assert {**recipe_says.settings, **flags_say.settings} == {"model_name_or_path": "b"}


def test_settings_in_a_section_of_a_recipe_are_refused_with_what_to_do(tmp_path: Any) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("training:\n  learning_rate: 1e-4\n")
    with pytest.raises(ConfigError, match="unknown key 'training'. A recipe has no sections"):
        read_given(["--config", str(recipe)], SFT)


def test_sightlines_settings_have_a_meaning_for_the_help() -> None:
    for verb in ("sft", "dpo"):
        ours = [one for one in known_settings(verb).values() if one.is_ours]
        assert len(ours) > 10 and all(one.help for one in ours)
        assert known_settings(verb)["share"].choices == ("auto", "mask", "fork", "plain")
