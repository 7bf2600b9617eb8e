"""Models, processors and adapters load from folders; what is missing is named with a way to get it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sightline.answering.local import LocalAnswerer
from sightline.data.encoding.prompts import check_template, render_prompt
from sightline.data.pictures.images import opened
from sightline.errors import InputError
from sightline.models.adapters import load_adapter
from sightline.models.load import load_vlm
from sightline.types import Question
from tests.tiny import picture, tiny_folder, tiny_llava, tiny_processor

QUESTION = Question("what is the colour ?", (opened(picture(0)),), 6)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base"))


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


def changed(adapter: Path, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]], **config: Any) -> Path:
    """A copy of the adapter with other weights, and other settings."""
    shutil.copytree(adapter, folder, dirs_exist_ok=True)
    weights = folder / "adapter_model.safetensors"
    save_file(change(load_file(weights)), weights)
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, **config}))
    return folder


def renamed(weights: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    """The first so many weights, or all, under names of another layout."""
    return {
        name.replace("base_model.model.", "base_model.model.thinker.")
        if count is None or index < count
        else name: value
        for index, (name, value) in enumerate(weights.items())
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "of its {all} weights 0 have a place in the model, not so base_model.model.thinker"),
        (lambda weights: renamed(weights, 3), "of its {all} weights {three_less} have a place in the model"),
        (lambda weights: dict(list(weights.items())[4:]), "4 places of the model have no weight in it, such as"),
        (
            lambda weights: {n: v[:, :3].contiguous() if "lora_A" in n else v for n, v in weights.items()},
            "have another shape",
        ),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_with_how_much_of_it_does(
    base: Path, adapter: Path, tmp_path: Path, change: Any, said: str
) -> None:
    """PEFT itself leaves such weights out with a warning, and the base model would answer under the adapter's name."""
    count = len(load_file(adapter / "adapter_model.safetensors"))
    misfit = changed(adapter, tmp_path / "misfit", change)
    expected = re.escape(said.format(all=count, three_less=count - 3))
    for folder, on_top in ((misfit, None), (base, misfit)):
        with pytest.raises(InputError, match=f"The adapter .*misfit does not fit this model: .*{expected}"):
            load_vlm(folder, adapter=on_top)


def test_whole_modules_that_an_adapter_saves_have_their_place_or_are_missed(base: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(target_modules=["q_proj"], modules_to_save=["linear_2"], init_lora_weights=False)
    model = get_peft_model(load_vlm(base).model, config)
    for name, parameter in model.named_parameters():
        if "modules_to_save" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "whole")
    saved = {n: p for n, p in load_vlm(tmp_path / "whole").model.named_parameters() if "modules_to_save" in n}
    trained = dict(model.named_parameters())
    assert saved and all(torch.equal(value.cpu(), trained[name].cpu()) for name, value in saved.items())
    less = changed(
        tmp_path / "whole", tmp_path / "less", lambda weights: {n: v for n, v in weights.items() if "linear_2" not in n}
    )
    with pytest.raises(InputError, match=r"its configuration wants .*linear_2.*, which its file has not"):
        load_vlm(less)


def test_a_folder_of_an_adapter_with_a_configuration_beside_it_is_an_adapter(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    """transformers reads it so, too: it loads the base that the adapter names, and puts the adapter on it."""
    both = changed(adapter, tmp_path / "both", renamed)
    shutil.copy(base / "config.json", both)
    with pytest.raises(InputError, match="weights 0 have a place in the model"):
        load_vlm(both)


def kinds_of_adapters() -> dict[str, Any]:
    import peft

    layers = r"model\.language_model.*(q_proj|v_proj)"
    return {
        "dora": peft.LoraConfig(target_modules=layers, use_dora=True),
        "bias": peft.LoraConfig(target_modules=layers, bias="lora_only"),
        "embeddings": peft.LoraConfig(target_modules=["embed_tokens", "q_proj"]),
        "head": peft.LoraConfig(target_modules=layers, modules_to_save=["lm_head"]),
        "tokens": peft.LoraConfig(target_modules=layers, trainable_token_indices=[1, 2]),
        "ia3": peft.IA3Config(target_modules=layers, feedforward_modules=[]),
        "loha": peft.LoHaConfig(target_modules=layers),
        "vera": peft.VeraConfig(target_modules=layers),
        "vblora": peft.VBLoRAConfig(target_modules=layers, num_vectors=8, vector_length=4, topk=2),
        "norms": peft.LNTuningConfig(target_modules=["input_layernorm"]),
        "prompt": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    }


@pytest.mark.parametrize("kind", kinds_of_adapters())
def test_adapters_of_every_kind_that_fit_are_loaded_whole(tmp_path: Path, kind: str) -> None:
    from peft import get_peft_model

    model = get_peft_model(tiny_llava(), kinds_of_adapters()[kind])
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    for value in trained.values():
        torch.nn.init.normal_(value.data if value.dim() > 1 else value.data[None])
    model.save_pretrained(tmp_path)
    loaded = dict(load_adapter(tiny_llava(), str(tmp_path)).named_parameters())
    assert trained and all(torch.equal(value, loaded[name]) for name, value in trained.items())


def test_a_template_that_is_set_on_the_tokenizer_is_the_processors() -> None:
    processor = tiny_processor()
    template, processor.chat_template = processor.chat_template, None
    processor.tokenizer.chat_template = template
    rendered = render_prompt_of(processor)
    assert rendered == render_prompt_of(tiny_processor()) and processor.chat_template == template
    processor.tokenizer.chat_template = "another"
    assert render_prompt_of(processor) == rendered, "the processor's own goes first, as in transformers"


def render_prompt_of(processor: Any) -> str:
    check_template(processor, "tiny")
    return render_prompt(processor, QUESTION).text


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
