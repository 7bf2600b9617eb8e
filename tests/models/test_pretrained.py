"""Code that comes with a model is never asked about and never run: in no file of a folder, by no loader."""

from __future__ import annotations

import io
import shutil
import sys

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.utils import logging

from sightline import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from sightline.errors import ConfigError, InputError
from sightline.models import pretrained
from sightline.models.build import BuildSpec, build_vlm
from sightline.models.guarded import refused_pickles
from sightline.models.load import load_vlm
from sightline.models.parts import read_part
from sightline.models.vilt.heads import load_head
from sightline.models.vilt.start import load_start
from sightline.training.arguments import read_settings
from sightline.training.source import model_source
from sightline.training.vilt.settings import read_vilt_settings
from tests.models.folders import WITH_CODE, add_code, plant_pickle
from tests.tiny import SHORT_RUN, preference_rows, tiny_folder, vqa_rows

KINDS = list(WITH_CODE)
NEEDED = [kind for kind, (_, loads) in WITH_CODE.items() if not loads]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture
def folder(plain, tmp_path):
    return shutil.copytree(plain, tmp_path / "model")


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "ran"


@pytest.fixture(autouse=True)
def willing(monkeypatch):
    """Somebody at a terminal who says yes to everything."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 100))
    pretrained._say_once.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_code_of_a_folder_is_never_run_when_it_is_asked(kind, folder, trace, capsys):
    add_code(folder, kind, trace)
    loads = WITH_CODE[kind][1]
    if loads:
        load_vlm(folder)
        assert "brings code of its own" in capsys.readouterr().err
    else:
        with pytest.raises(InputError, match=r"needs code of its own .*never runs.*-hf"):
            load_vlm(folder)
    assert not trace.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_code_of_a_folder_is_never_run_when_training_starts_from_it(kind, folder, trace):
    add_code(folder, kind, trace)
    settings = read_settings(["--model_name_or_path", str(folder), "--use_cpu"], SFTConfig)
    if WITH_CODE[kind][1]:
        model_source(settings)
    else:
        with pytest.raises(InputError, match="needs code of its own"):
            model_source(settings)
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["another model", "a processor", "a picture processor"])
def test_code_of_a_folder_is_never_run_by_a_trainer_that_is_given_its_name(kind, folder, trace, tmp_path):
    add_code(folder, kind, trace)
    rows = Dataset.from_list(vqa_rows(4, 2))
    args = SFTConfig(str(tmp_path / "out"), use_cpu=True, **SHORT_RUN)
    if WITH_CODE[kind][1]:
        SFTTrainer(str(folder), args, train_dataset=rows)
    else:
        with pytest.raises(InputError, match="needs code of its own"):
            SFTTrainer(str(folder), args, train_dataset=rows)
    assert not trace.exists()


def test_code_of_a_reference_that_is_named_is_never_run(plain, folder, trace, tmp_path):
    add_code(folder, "another model", trace)
    args = DPOConfig(str(tmp_path / "out"), use_cpu=True, **SHORT_RUN)
    with pytest.raises(InputError, match="needs code of its own"):
        DPOTrainer(str(plain), str(folder), args, train_dataset=Dataset.from_list(preference_rows(4, 2)))
    assert not trace.exists()


def test_code_of_the_source_of_a_chat_template_is_never_run(plain, folder, trace, tmp_path):
    add_code(folder, "a tokenizer", trace)
    (folder / "tokenizer.json").unlink()
    args = SFTConfig(str(tmp_path / "out"), use_cpu=True, chat_template_path=str(folder), **SHORT_RUN)
    with pytest.raises((InputError, ValueError)):
        SFTTrainer(str(plain), args, train_dataset=Dataset.from_list(vqa_rows(4, 2)))
    assert not trace.exists()


def test_code_of_an_adapters_base_model_is_never_run(folder, trace, tmp_path):
    add_code(folder, "another model", trace)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    mapping = '"auto_mapping": {"base_model_class": "Foreign", "parent_library": "foreign"}'
    (adapter / "adapter_config.json").write_text(
        f'{{"peft_type": "LORA", "base_model_name_or_path": "{folder}", {mapping}}}'
    )
    with pytest.raises(InputError, match="needs code of its own"):
        load_vlm(adapter)
    assert not trace.exists()


@pytest.mark.parametrize(
    "load", [load_start, lambda name: load_head(name, "vqa"), lambda name: read_part(name, "tower")]
)
def test_code_of_a_part_or_a_vilt_is_never_run(load, folder, trace):
    add_code(folder, "another model", trace)
    with pytest.raises(InputError, match="needs code of its own"):
        load(str(folder))
    assert not trace.exists()


def test_code_of_a_tokenizer_that_a_new_model_takes_is_never_run(folder, trace):
    add_code(folder, "a tokenizer", trace)
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").unlink()
    spec = BuildSpec(tower={"model_type": "clip_vision_model"}, decoder={"model_type": "llama"}, tokenizer=str(folder))
    with pytest.raises(InputError):
        build_vlm(spec, 0)
    assert not trace.exists()


def test_weights_that_transformers_own_class_has_no_place_for_are_no_model(folder, trace):
    add_code(folder, "a known model", trace)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {f"foreign.{name}": value for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match=r"not those of transformers' own Llava\w+: \d+ are missing"):
        load_vlm(folder)


@pytest.mark.parametrize(
    "arguments", [["--trust_remote_code"], ["--trust_remote_code", "true"], ["--trust-remote-code=yes"]]
)
def test_trust_remote_code_is_refused_by_name(arguments):
    with pytest.raises(ConfigError, match=r"trust_remote_code: Sightline never runs code.*-hf"):
        read_settings(["--model_name_or_path", "m", *arguments], SFTConfig)
    with pytest.raises(ConfigError, match="trust_remote_code: Sightline never runs code"):
        read_vilt_settings(arguments)


def test_trust_remote_code_is_refused_in_a_recipe_and_in_nested_settings(tmp_path):
    recipe = tmp_path / "r.yaml"
    for text in ("trust_remote_code: yes", "model_init_kwargs: {trust_remote_code: true}"):
        recipe.write_text(text)
        with pytest.raises(ConfigError, match=r"r\.yaml: .*Sightline never runs code"):
            read_settings(["--config", str(recipe)], DPOConfig)


def test_trust_remote_code_false_is_what_happens_anyway():
    assert read_settings(["--trust_remote_code", "false", "--use_cpu"], SFTConfig).training.trust_remote_code is False


@pytest.mark.parametrize("said", [{"trust_remote_code": True}, {"model_init_kwargs": {"trust_remote_code": True}}])
def test_a_trainer_refuses_trust_remote_code(said, plain, tmp_path):
    args = SFTConfig(str(tmp_path), use_cpu=True, **said, **SHORT_RUN)
    with pytest.raises(ConfigError, match="Sightline never runs code"):
        SFTTrainer(str(plain), args, train_dataset=Dataset.from_list(vqa_rows(4, 2)))


def test_a_pickle_of_weights_runs_nothing(folder, trace):
    (folder / "model.safetensors").unlink()
    plant_pickle(folder / "pytorch_model.bin", trace)
    with pytest.raises(InputError, match=r"pytorch_model\.bin.*would run code.*system.*safetensors"):
        load_vlm(folder)
    assert not trace.exists()


def test_a_pickle_of_weights_runs_nothing_in_a_trainer_that_is_given_its_name(folder, trace, tmp_path):
    (folder / "model.safetensors").unlink()
    plant_pickle(folder / "pytorch_model.bin", trace)
    args = SFTConfig(str(tmp_path / "out"), use_cpu=True, **SHORT_RUN)
    with pytest.raises(InputError, match=r"pytorch_model\.bin.*would run code"):
        SFTTrainer(str(folder), args, train_dataset=Dataset.from_list(vqa_rows(4, 2)))
    assert not trace.exists()


def test_a_pickle_of_an_adapters_weights_runs_nothing(folder, trace, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        f'{{"peft_type": "LORA", "base_model_name_or_path": "{folder}", "target_modules": ["q_proj"], "r": 2}}'
    )
    plant_pickle(adapter / "adapter_model.bin", trace)
    with pytest.raises(InputError, match=r"adapter_model\.bin.*would run code"):
        load_vlm(adapter)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth"])
def test_a_pickle_among_the_states_of_a_checkpoint_runs_nothing(name, plain, trace, tmp_path):
    args = SFTConfig(str(tmp_path / "out"), use_cpu=True, max_steps=1, **{**SHORT_RUN, "save_strategy": "steps"})
    SFTTrainer(str(plain), args, train_dataset=Dataset.from_list(vqa_rows(4, 2))).train()
    checkpoint = tmp_path / "out" / "checkpoint-1"
    plant_pickle(checkpoint / name, trace)
    plant_pickle(checkpoint / "training_args.bin", trace)
    args.max_steps = 2
    again = SFTTrainer(str(plain), args, train_dataset=Dataset.from_list(vqa_rows(4, 2)))
    with pytest.raises(InputError, match=rf"{name}.*would run code"), refused_pickles(str(checkpoint)):
        again.train(resume_from_checkpoint=str(checkpoint))
    assert not trace.exists()


def test_weights_in_a_pickle_of_tensors_alone_load_as_ever(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert load_vlm(folder).model.dtype == torch.float32


def test_weights_are_read_without_a_bar_which_would_fill_a_log(plain):
    logging.enable_progress_bar()
    pretrained.load_pretrained(AutoConfig, plain)
    assert not logging.is_progress_bar_enabled()
