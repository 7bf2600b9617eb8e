"""A layout is loaded as the class that it names, by every verb, or refused with what is missing or left over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
from transformers.core_model_loading import WeightRenaming

from sightline import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from sightline.errors import InputError
from sightline.models.load import load_vlm
from sightline.models.published import table
from sightline.models.published.layout import Parts, is_offloaded
from sightline.models.published.table import Layout
from tests.tiny import SHORT_RUN, preference_rows, tiny_folder, vqa_rows

NAMES = {
    "model.language_model.": "decoder.",
    "model.vision_tower.": "eye.vision_model.",
    "model.multi_modal_projector.linear_1": "bridge.0",
    "model.multi_modal_projector.linear_2": "bridge.2",
}
PARTS = Parts(
    config=lambda folder: LlavaConfig(**folder.settings["settings"]),
    model=LlavaForConditionalGeneration,
    processor=lambda folder, _: LlavaProcessor.from_pretrained(Path(folder.name, "processor")),
    conversions=lambda folder: [
        WeightRenaming(source_patterns=r"^decoder\.", target_patterns="model.language_model."),
        WeightRenaming(source_patterns=r"^eye\.vision_model\.", target_patterns="model.vision_tower."),
        WeightRenaming(source_patterns=r"^bridge\.0", target_patterns="model.multi_modal_projector.linear_1"),
        WeightRenaming(source_patterns=r"^bridge\.2", target_patterns="model.multi_modal_projector.linear_2"),
    ],
)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    toy = Layout("toy", lambda settings: settings.get("architectures") == ["ToyForCausalLM"], lambda: PARTS)
    monkeypatch.setattr(table, "LAYOUTS", [toy])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture
def folder(plain, tmp_path):
    """The plain model under the names of its authors."""
    return published(plain, tmp_path / "toy")


def published(plain: Path, folder: Path) -> Path:
    folder.mkdir()
    settings = json.loads((plain / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"architectures": ["ToyForCausalLM"], "settings": settings}))
    tensors = weights_of(LlavaForConditionalGeneration.from_pretrained(plain))
    save_file({renamed(name): tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    AutoProcessor.from_pretrained(plain).save_pretrained(folder / "processor")
    return folder


def renamed(name: str) -> str:
    own, theirs = next(((a, b) for a, b in NAMES.items() if name.startswith(a)), ("", ""))
    return theirs + name.removeprefix(own)


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def test_weights_are_those_of_the_plain_folder_and_saved_under_the_names_of_the_class(plain, folder, tmp_path):
    expected, found = load_vlm(plain), load_vlm(folder)
    torch.testing.assert_close(weights_of(found.model), weights_of(expected.model), rtol=0, atol=0)
    found.model.save_pretrained(tmp_path / "saved")
    assert load_file(tmp_path / "saved" / "model.safetensors").keys() == weights_of(expected.model).keys()


def test_a_class_that_transformers_has_loads_its_own_folders_as_before(plain, folder):
    load_vlm(folder)
    assert weights_of(load_vlm(plain).model).keys() == weights_of(load_vlm(folder).model).keys()


def test_parts_are_put_aside_where_some_lie_elsewhere_than_the_rest():
    assert is_offloaded({"a": 0, "b": "cpu"}) and is_offloaded({"a": "disk"})
    assert not is_offloaded({}) and not is_offloaded({"": "cpu"}) and not is_offloaded({"a": 0, "b": 1})


def test_weights_that_are_missing_or_left_over_are_named(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["bridge.0.weight"]
    tensors["bridge.7.weight"] = torch.zeros(2)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"1 weights are not stored: .*linear_1.weight; 1 weights .*: bridge.7.weight"):
        load_vlm(folder)


def test_a_config_that_lies_about_sizes_is_told(folder):
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["text_config"]["intermediate_size"] = 48
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="other shapes than config.json asks for"):
        load_vlm(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_trainers_take_the_folder_by_name_and_go_the_same_way(plain, folder, tmp_path, kind):
    losses = []
    for name in (plain, folder):
        settings = {**SHORT_RUN, "max_steps": 2, "output_dir": str(tmp_path / "out"), "per_device_train_batch_size": 2}
        if kind == "sft":
            trainer = SFTTrainer(str(name), SFTConfig(**settings), train_dataset=Dataset.from_list(vqa_rows(4, 2)))
        else:
            rows = Dataset.from_list(preference_rows(4, 2))
            trainer = DPOTrainer(str(name), args=DPOConfig(**settings), train_dataset=rows)
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert losses[0] == losses[1] and len(losses[0]) == 2
