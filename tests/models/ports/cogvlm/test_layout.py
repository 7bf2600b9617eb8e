"""A published folder loads as it is, saves under the same names, and what cannot be read is told in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from sightline.errors import InputError
from sightline.models.load import load_vlm
from sightline.models.pretrained import load_pretrained
from tests.models.ports.cogvlm.tiny_cogvlm import SETTINGS, published_folder, tiny_model, write_vocabulary
from tests.models.published.checkpoints import byte_tokenizer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return published_folder(tmp_path_factory.mktemp("published") / "cogvlm", tiny_model())


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "cogvlm"))


def change(folder: Path, **settings) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_published_weights_load_as_they_are_and_are_saved_under_their_names(whole, tmp_path):
    loaded = load_vlm(whole)
    expected = tiny_model().state_dict()
    torch.testing.assert_close(dict(loaded.model.state_dict()), dict(expected), rtol=0, atol=0)
    assert (loaded.model.generation_config.eos_token_id, loaded.model.generation_config.do_sample) == (2, None)
    loaded.model.save_pretrained(tmp_path / "saved")
    loaded.processor.save_pretrained(tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(expected)
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["architectures"] == ["CogVLMForCausalLM"]
    again = load_vlm(tmp_path / "saved")
    torch.testing.assert_close(dict(again.model.state_dict()), dict(expected), rtol=0, atol=0)
    assert again.processor.chat_template == loaded.processor.chat_template
    assert again.processor.image_processor.to_dict() == loaded.processor.image_processor.to_dict()
    words = "Question: zebra?\n"
    assert again.processor.tokenizer(words)["input_ids"] == loaded.processor.tokenizer(words)["input_ids"]


def test_pickled_shards_load_too(tmp_path):
    made = published_folder(tmp_path / "cogvlm", tiny_model(), pickled=True)
    torch.testing.assert_close(dict(load_vlm(made).model.state_dict()), dict(tiny_model().state_dict()), rtol=0, atol=0)


def test_weights_in_bfloat16_stay_so_and_their_frequencies_are_read_in_full(tmp_path):
    model = tiny_model().bfloat16()
    made = published_folder(tmp_path / "cogvlm", model)
    change(made, torch_dtype="bfloat16")
    tensors = load_vlm(made).model.state_dict()
    rounded = tiny_model().state_dict()
    for name, tensor in tensors.items():
        assert tensor.dtype == (torch.float32 if name.endswith("inv_freq") else torch.bfloat16)
        if name.endswith("inv_freq"):
            assert torch.equal(tensor, rounded[name])


def test_transformers_auto_classes_load_what_was_saved(whole, tmp_path):
    loaded = load_vlm(whole)
    loaded.model.save_pretrained(tmp_path)
    loaded.processor.save_pretrained(tmp_path)
    for kind in (AutoModelForImageTextToText, AutoModelForCausalLM):
        assert type(kind.from_pretrained(tmp_path)) is type(loaded.model)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert type(processor) is type(loaded.processor)
    assert type(processor.image_processor) is type(loaded.processor.image_processor)
    assert processor.image_tokens == 18


def test_a_tokenizer_is_brought_by_name_or_asked_for(folder, tmp_path):
    (folder / "tokenizer.model").unlink()
    with pytest.raises(InputError, match=r"no tokenizer.*Bring that of lmsys/vicuna-7b-v1.5.*--tokenizer FOLDER"):
        load_vlm(folder)
    brought = tmp_path / "vicuna"
    brought.mkdir()
    write_vocabulary(brought / "tokenizer.model")
    processor = load_pretrained(AutoProcessor, folder, {"tokenizer": str(brought)})
    assert processor.tokenizer("a dog")["input_ids"][0] == 1
    byte_tokenizer(*(f"<{number}>" for number in range(200))).save_pretrained(brought)
    with pytest.raises(InputError, match=r"expected the tokenizer of lmsys/vicuna-7b-v1.5.*got one of 45\d tokens"):
        load_pretrained(AutoProcessor, folder, {"tokenizer": str(brought)})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_multi_query_heads": 8}, "is a CogVLM2, whose layers are others"),
        ({"architectures": ["CogAgentForCausalLM"]}, "is a CogAgent, whose layers are others"),
        (
            {"vision_config": {**SETTINGS["vision_config"], "image_size": 48}},
            "expected num_positions 65 for images of 48",
        ),
        ({"template_version": "chat_old"}, "expected base or chat, got 'chat_old'"),
        ({"hidden_size": "wide"}, "config.json is not that of a CogVLM: .*hidden_size"),
        ({"intermediate_size": 64}, "other shapes than config.json asks for"),
        ({"num_hidden_layers": 1}, "weights are stored beside it"),
    ],
)
def test_folders_of_others_and_settings_that_lie_are_told(folder, settings, told):
    change(folder, **settings)
    with pytest.raises(InputError, match=told):
        load_vlm(folder)


def test_half_a_download_and_pickles_with_code_are_told(folder, tmp_path):
    next(folder.glob("model-00002*")).unlink()
    with pytest.raises(InputError, match="model-00002-of-00003.safetensors"):
        load_vlm(folder)
    made = published_folder(tmp_path / "pickled", tiny_model(), pickled=True)
    torch.save({"model.norm.weight": print}, made / "pytorch_model-00001-of-00003.bin")
    with pytest.raises(InputError, match="a pickle"):
        load_vlm(made)
