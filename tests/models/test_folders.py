"""A model's folder that is damaged is refused in one line that names the file, whatever verb loads it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from sightline.errors import InputError, MachineError
from sightline.models.folders import reading, require_image_token, require_numbers, require_picture_settings
from sightline.models.generate import greedy_rules
from sightline.models.load import load_vlm
from sightline.training.arguments import read_settings
from sightline.training.sft import SFTConfig
from sightline.training.source import model_source
from tests.families.tiny_families import gemma3
from tests.tiny import tiny_folder, tiny_llava, tiny_processor


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def refusals(folder: Path) -> list[str]:
    """What an evaluation and a training run say of a folder."""
    said = []
    settings = read_settings(["--model_name_or_path", str(folder), "--dataset_name", "x", "--use_cpu"], SFTConfig)
    for load in (lambda: load_vlm(folder), lambda: model_source(settings)):
        with pytest.raises(InputError) as caught:
            load()
        said.append(str(caught.value))
    assert all(len(one.splitlines()) == 1 and len(one) < 900 for one in said), said
    return said


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json"])
@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\x00" * 99, b"[1]", b"null", b'{"a": "\xff"}', b"[" * 100_000])
def test_settings_that_are_cut_or_garbled_are_named(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    for said in refusals(folder):
        assert f"{name} is no whole JSON" in said or f"{name} is expected to hold an object of settings" in said


@pytest.mark.parametrize(
    "change", [lambda whole: whole[:-40], lambda whole: b"\xff" * 8 + whole[8:], lambda whole: b""]
)
def test_weights_that_are_cut_or_garbled_are_named(change: Callable[[bytes], bytes], folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))
    for said in refusals(folder):
        assert "model.safetensors is no whole file of weights" in said


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config.json", "vision_config", "clip"),
        ("config.json", "image_seq_length", "many"),
        ("config.json", "text_config", [1]),
        ("tokenizer_config.json", "bos_token", ["<s>"]),
        ("tokenizer_config.json", "tokenizer_class", {}),
        ("tokenizer.json", "model", "WordLevel"),
        ("tokenizer.json", "added_tokens", 3.5),
        ("processor_config.json", "image_processor", "clip"),
    ],
)
def test_values_of_another_kind_are_an_input_error(name: str, key: str, value: Any, folder: Path) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert all(str(folder) in said for said in refusals(folder))


@pytest.mark.parametrize("classes", [None, [], [7], ["NoSuchModel"]])
def test_training_needs_a_class_of_transformers(classes: Any, folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": classes}))
    settings = read_settings(["--model_name_or_path", str(folder), "--dataset_name", "x", "--use_cpu"], SFTConfig)
    with pytest.raises(InputError, match="expected a class of transformers at architectures in config.json, got"):
        model_source(settings)


@pytest.mark.parametrize("content", ["", "null", "[]", '{"base_model_name_or_path": 7}', "{" * 50])
def test_a_damaged_adapter_is_an_input_error(content: str, whole: Path, tmp_path: Path) -> None:
    adapted = get_peft_model(tiny_llava(), LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.peft_config["default"].base_model_name_or_path = str(whole)
    adapted.save_pretrained(tmp_path / "adapter")
    load_vlm(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_config.json").write_text(content)
    with pytest.raises(InputError, match="adapter_config.json|does not name its base model"):
        load_vlm(tmp_path / "adapter")


def test_what_the_machine_lacks_is_no_fault_of_the_folder(tmp_path: Path) -> None:
    for error in (MemoryError(), ModuleNotFoundError("num2words")):
        with pytest.raises(type(error)), reading(str(tmp_path), "The model"):
            raise error


@pytest.mark.parametrize(
    "setting",
    [{"eos_token_id": "</s>"}, {"eos_token_id": [None]}, *({"repetition_penalty": one} for one in ("x", 0, -1.0))],
)
def test_generation_settings_that_are_no_numbers(setting: dict[str, Any]) -> None:
    model = tiny_llava()
    for name, value in setting.items():
        setattr(model.generation_config, name, value)
    with pytest.raises(InputError, match="generation_config.json: expected numbers at eos_token_id and repetition_pen"):
        greedy_rules(model)
    with pytest.raises(InputError, match="generation_config.json: expected numbers at eos_token_id and repetition_pen"):
        require_numbers("model", model.generation_config)


def settings_with(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        given = json.loads(path.read_text())
        for key, value in changes.items():
            part, _, inner = key.partition("__")
            if inner:
                given[part][inner] = value
            else:
                given[part] = value
        path.write_text(json.dumps(given))

    return change


def without_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if "norm" in name)]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def indexed(content: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return change


def chat_template(folder: Path) -> None:
    (folder / "chat_template.json").write_text("{")


def other_image_token(folder: Path) -> None:
    given = json.loads((folder / "config.json").read_text())
    key = next(key for key in ("image_token_id", "image_token_index") if key in given)
    settings_with(**{key: given[key] + 1})(folder)


def half_a_character(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "note": "a\ud800"}))


def without_padding(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": None}))


@pytest.mark.parametrize("stop", ["</s>", [None], ["a"]])
def test_training_refuses_generation_settings_that_are_no_numbers(stop: Any, folder: Path) -> None:
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": stop}))
    settings = read_settings(["--model_name_or_path", str(folder), "--dataset_name", "x", "--use_cpu"], SFTConfig)
    with pytest.raises(InputError, match=r"generation_config.json"):
        model_source(settings)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (settings_with(text_config=None), "config.json is expected to hold an object of settings at text_config"),
        (settings_with(vision_config=[]), "config.json is expected to hold an object of settings at vision_config"),
        (settings_with(text_config={}), "config.json describes a model of .* weights, but .* are stored"),
        (settings_with(text_config__vocab_size=10), "weights have other shapes than config.json asks for: .* has"),
        (settings_with(text_config__num_hidden_layers=9), "weights that config.json asks for are not stored"),
        (without_weight, "[1-9] weights that config.json asks for are not stored"),
        (indexed({"weight_map": [1]}), r"index.json is expected to map weights to files at weight_map"),
        (indexed({"weight_map": {"a": "model-2.safetensors"}}), "index.json names model-2.safetensors, which the"),
        (settings_with(vision_feature_layer=10**20), "vision_feature_layer is 100000.*, but .* has 2 layers"),
        (settings_with(vision_feature_layer=[-9]), "vision_feature_layer is -9, but the vision tower has 2 layers"),
        (other_image_token, r"config.json takes token 5 for that of a picture.* <image> is 4"),
        (chat_template, "chat_template.json is no whole JSON"),
        (without_padding, "the tokenizer has no padding token"),
        (half_a_character, r"tokenizer_config.json holds .ud800, half of a character"),
    ],
)
def test_parts_that_do_not_belong_together_are_named(
    damage: Callable[[Path], None], message: str, folder: Path
) -> None:
    damage(folder)
    for said in refusals(folder):
        assert re.search(message, said), said
        assert str(folder) in said


def test_a_picture_that_begins_with_another_token_than_its_own_is_none_to_refuse() -> None:
    model, processor = gemma3()
    require_image_token("gemma", model.config, processor)


@pytest.mark.parametrize("kind", ["pad_token", "bos_token", "eos_token"])
def test_a_token_that_was_added_without_an_embedding_is_refused_before_a_batch_fails(kind: str, folder: Path) -> None:
    processor = tiny_processor()
    processor.tokenizer.add_special_tokens({kind: "<added>"})
    processor.save_pretrained(folder)
    said = refusals(folder)
    assert len(said) == 2 and all(f"the tokenizer's {kind} '<added>' is number" in one for one in said)


def test_a_package_that_a_folder_needs_is_named() -> None:
    told = "The adapter a needs the package megatron, which is not installed"
    with pytest.raises(MachineError, match=told), reading("a", "The adapter"):
        raise ModuleNotFoundError("No module named 'megatron'", name="megatron")


SIZES = [{"shortest_edge": side} for side in (0, -5, 1.5, "x", [3], None, 10**9)]


@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [
        *(("size", size, "sides of 1 to 65,536 pixels") for size in [*SIZES, 0, {"height": 10**9, "width": 10**9}]),
        ("image_mean", "x", "a number for each channel"),
        ("image_std", [0, 0, 0], "a number but 0 for each channel"),
        ("rescale_factor", "x", "a number between 0 and 1"),
        ("rescale_factor", 1e308, "a number between 0 and 1"),
        ("resample", 99, "one of Pillow's filters"),
    ],
)
def test_a_setting_that_makes_nothing_of_a_picture_is_named_with_its_folder(
    setting: str, value: Any, wanted: str, tmp_path: Path
) -> None:
    tiny_llava().save_pretrained(tmp_path)
    tiny_processor().save_pretrained(tmp_path)
    path = tmp_path / "processor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "image_processor": {**settings["image_processor"], setting: value}}))
    with pytest.raises(InputError, match=rf"the processor's {setting}: expected {wanted}.*, got .* Mend preprocessor"):
        load_vlm(tmp_path)


def test_sizes_of_pixels_in_place_of_sides_are_right() -> None:
    class OfPixels:
        merge_size = 2
        size = {"shortest_edge": 3136, "longest_edge": 12_845_056}

    class Processor:
        image_processor = OfPixels()

    require_picture_settings("model", Processor())
