"""Folders of Qwen-VL are loaded, saved and told apart from those that look like them."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from sightline.errors import InputError
from sightline.models.generation_settings import odd_settings
from sightline.models.load import load_vlm
from sightline.models.ports.qwen_vl.model import QwenVLForConditionalGeneration
from sightline.models.pretrained import load_pretrained
from tests.models.ports.qwen_vl.tiny import RANKS, VOCABULARY, published, tiny_model

POSITIONS = "transformer.visual.attn_pool.pos_embed"


def changed(folder, file: str, **settings):
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def test_shards_of_pickles_load_as_they_were_written(tmp_path):
    loaded = load_vlm(published(tmp_path / "model"))
    expected = tiny_model().state_dict()
    assert type(loaded.model) is QwenVLForConditionalGeneration and not loaded.model.training
    torch.testing.assert_close(dict(loaded.model.state_dict()), dict(expected), rtol=0, atol=0)
    assert torch.equal(loaded.model.transformer.visual.attn_pool.pos_embed, expected[POSITIONS])


def test_another_dtype_is_that_of_all_tensors(tmp_path):
    model = load_vlm(published(tmp_path / "model"), dtype="bfloat16").model
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.bfloat16}


def test_what_is_saved_keeps_the_published_names_and_settings_and_loads_back_equal(tmp_path):
    folder = published(tmp_path / "model")
    loaded = load_vlm(folder)
    saved = tmp_path / "saved"
    loaded.model.save_pretrained(saved)
    loaded.processor.save_pretrained(saved)
    names = json.loads((folder / "pytorch_model.bin.index.json").read_text())["weight_map"]
    assert load_file(saved / "model.safetensors").keys() == names.keys()
    ours, theirs = (json.loads((place / "config.json").read_text()) for place in (saved, folder))
    own = ("architectures", "auto_map", "torch_dtype", "transformers_version")
    assert {name: ours.get(name) for name in theirs if name not in own} == {
        name: value for name, value in theirs.items() if name not in own
    }
    assert "auto_map" not in ours and ours["architectures"] == ["QwenVLForConditionalGeneration"]
    again = load_vlm(saved)
    torch.testing.assert_close(dict(again.model.state_dict()), dict(loaded.model.state_dict()), rtol=0, atol=0)
    assert again.processor.chat_template == loaded.processor.chat_template
    assert again.model.generation_config.eos_token_id == loaded.model.generation_config.eos_token_id
    assert AutoModelForImageTextToText.from_pretrained(saved).config.visual == loaded.model.config.visual


def test_transformers_own_classes_know_the_model_by_name(tmp_path):
    folder = published(tmp_path / "model")
    assert load_pretrained(AutoConfig, folder).model_type == "qwen"
    assert type(load_pretrained(AutoModelForCausalLM, folder)) is QwenVLForConditionalGeneration
    assert type(load_pretrained(AutoProcessor, folder)).__name__ == "QwenVLProcessor"


@pytest.mark.parametrize("chat", [True, False])
def test_answers_end_with_what_the_authors_end_them_with(tmp_path, chat):
    folder = published(tmp_path / "model", chat=chat)
    settings = load_pretrained(GenerationConfig, folder)
    assert settings.eos_token_id == ([RANKS + 2, RANKS + 1, RANKS] if chat else RANKS)
    assert (settings.do_sample, settings.top_p, settings.top_k, settings.max_new_tokens) == (True, 0.3, 0, 512)
    assert settings.pad_token_id == RANKS


@pytest.mark.parametrize("chat", [True, False])
def test_nothing_is_odd_in_the_authors_settings_of_generation(tmp_path, chat):
    """`chat_format` is read here, so nobody is told to take it out."""
    assert odd_settings(str(published(tmp_path / "model", chat=chat)), VOCABULARY) == []


def test_plain_qwen_is_refused_by_name(tmp_path):
    folder = published(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    del config["visual"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="got None there, as plain Qwen-7B has, which reads no images"):
        load_vlm(folder)


def test_weights_of_gptq_are_refused_by_name(tmp_path):
    folder = published(tmp_path / "by setting", quantization_config={"bits": 4, "quant_method": "gptq"})
    with pytest.raises(InputError, match=r"GPTQ \(Qwen-VL-Chat-Int4\)"):
        load_vlm(folder)
    folder = published(tmp_path / "by names")
    names = json.loads((folder / "pytorch_model.bin.index.json").read_text())["weight_map"]
    names["transformer.h.0.attn.c_attn.qweight"] = names.pop("transformer.h.0.attn.c_attn.weight")
    changed(folder, "pytorch_model.bin.index.json", weight_map=names)
    with pytest.raises(InputError, match="GPTQ"):
        load_vlm(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kv_channels": 16}, "expected a hidden_size of num_attention_heads x kv_channels = 64, got 32"),
        ({"hidden_size": 64, "kv_channels": 16}, "expected the output_dim of visual to be the hidden_size 64, got 32"),
        ({"no_bias": False}, "expected no_bias true and rotary_pct 1.0, got False and 1.0"),
        ({"rotary_pct": 0.5}, "expected no_bias true and rotary_pct 1.0, got True and 0.5"),
        ({"attn_dropout_prob": 0.1}, "expected no dropout, got attn_dropout_prob 0.1"),
        ({"num_attention_heads": "4"}, "expected a number above 0 at num_attention_heads"),
        ({"intermediate_size": 64}, r"other shapes than config.json asks for: \S+mlp.c_proj.weight has \[32, 48\]"),
        ({"num_hidden_layers": 3}, "8 weights are not stored"),
        ({"num_hidden_layers": 1}, "8 weights are stored beside it"),
    ],
)
def test_settings_that_are_not_those_of_the_weights_are_told(tmp_path, change, message):
    folder = changed(published(tmp_path / "model"), "config.json", **change)
    with pytest.raises(InputError, match=message):
        load_vlm(folder)


@pytest.mark.parametrize("setting", [{"heads": 3}, {"patch_size": 15}])
def test_a_tower_that_cannot_be_is_told(tmp_path, setting):
    folder = published(tmp_path / "model")
    visual = json.loads((folder / "config.json").read_text())["visual"]
    changed(folder, "config.json", visual={**visual, **setting})
    with pytest.raises(InputError, match="expected visual to have a width that its heads divide"):
        load_vlm(folder)


def test_half_a_download_is_told(tmp_path):
    folder = published(tmp_path / "model")
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(InputError, match=r"pytorch_model-00002-of-00002\.bin"):
        load_vlm(folder)


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_pickle_with_code_is_refused(tmp_path):
    folder = published(tmp_path / "model")
    torch.save({"lm_head.weight": Runs()}, folder / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(InputError, match="holds more than tensors, so that reading it would run code"):
        load_vlm(folder)


def test_without_a_tokenizer_the_file_to_bring_is_named(tmp_path):
    folder, other = published(tmp_path / "model"), published(tmp_path / "other")
    (folder / "qwen.tiktoken").unlink()
    with pytest.raises(InputError, match=r"expected qwen\.tiktoken.* Copy it from Qwen/Qwen-VL-Chat .* --tokenizer"):
        load_vlm(folder)
    brought = load_pretrained(AutoProcessor, folder, {"tokenizer": str(other)})
    assert brought.tokenizer("red")["input_ids"] == load_vlm(other).processor.tokenizer("red")["input_ids"]


def test_a_tokenizer_of_another_vocabulary_is_told(tmp_path):
    folder = published(tmp_path / "model")
    lines = (folder / "qwen.tiktoken").read_text().splitlines()
    (folder / "qwen.tiktoken").write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match=r"expected a tokenizer in which <img> is \d+ .* got one in which it is \d+"):
        load_vlm(folder)


@pytest.mark.parametrize("said", [{"chat_format": "other"}, {"chat_format": None}])
def test_a_folder_that_does_not_tell_base_from_chat_is_told(tmp_path, said):
    folder = changed(published(tmp_path / "model"), "generation_config.json", **said)
    with pytest.raises(InputError, match=r"chat_format chatml \(Qwen-VL-Chat\) or raw \(Qwen-VL"):
        load_vlm(folder)
