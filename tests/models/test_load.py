"""Models, processors and adapters load from folders; what is missing is named with a way to get it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sightline.data.images import opened
from sightline.errors import InputError
from sightline.evaluation.local import LocalAnswerer
from sightline.models.load import load_vlm
from sightline.types import Question
from tests.tiny import picture, tiny_llava, tiny_processor

QUESTION = Question("what is the colour ?", (opened(picture(0)),), 6)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny_llava().save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(target_modules="all-linear", init_lora_weights=False, r=8, lora_alpha=64)
    model = get_peft_model(load_vlm(base).model, config)
    model.save_pretrained(folder)
    return folder


def answer(folder: Path, adapter: Path | None = None) -> str:
    return next(LocalAnswerer(load_vlm(folder, adapter=adapter)).answer([QUESTION])).text


def test_a_folder_gives_a_model_in_evaluation_mode_with_its_processor(base: Path) -> None:
    loaded = load_vlm(base)
    assert not loaded.model.training
    assert loaded.name == str(base)
    assert torch.equal(loaded.model.lm_head.weight.cpu(), tiny_llava().lm_head.weight)


def test_an_adapter_folder_finds_its_base_and_equals_base_plus_adapter(base: Path, adapter: Path) -> None:
    assert answer(adapter) == answer(base, adapter=adapter) != answer(base)
    assert load_vlm(adapter).name == f"{base} + {adapter}"


def test_what_is_no_model_folder_is_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no folder /nowhere"):
        load_vlm("/nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"has no config.json. .* the folder holds notes.txt"):
        load_vlm(tmp_path)
    with pytest.raises(InputError, match="has no adapter_config.json"):
        load_vlm(base, adapter=tmp_path)


def test_a_hub_id_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(InputError, match="The model nobody/nothing could not be loaded"):
        load_vlm("nobody/nothing")


def test_a_folder_with_a_tokenizer_only_says_how_to_get_a_processor(tmp_path: Path) -> None:
    tiny_llava().save_pretrained(tmp_path)
    tiny_processor().tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=r"no processor .* Copy it from the base model: `AutoProcessor.from_pretrained"
    ):
        load_vlm(tmp_path)
