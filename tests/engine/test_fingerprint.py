"""What is stored is kept under: another key for all that changes a value, one key for all that does not."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import normalizers
from transformers import LlavaForConditionalGeneration

from sightline.data.sources import file_signatures
from sightline.engine.fingerprint import (
    adapter_settings,
    model_fingerprint,
    processor_fingerprint,
    settings_fingerprint,
    stored_under,
    tokenizer_fingerprint,
    weights_fingerprint,
)
from sightline.engine.unchanged import Unchanged
from tests.tiny import tiny_llava, tiny_processor

Change = Callable[[Any], object]


def setting(name: str, value: Any) -> Any:
    """Sets an attribute at a dotted path."""
    *parents, last = name.split(".")

    def change(one: Any) -> None:
        for parent in parents:
            one = getattr(one, parent)
        setattr(one, last, value)

    return pytest.param(change, id=name)


def in_dict(name: str, key: str, value: Any) -> Any:
    def change(one: Any) -> None:
        for part in name.split("."):
            one = getattr(one, part)
        one[key] = value

    return pytest.param(change, id=f"{name} {key}")


@pytest.mark.parametrize(
    "change",
    [
        setting("config.vision_feature_layer", -2),
        setting("config.vision_feature_select_strategy", "full"),
        setting("config.projector_hidden_act", "relu"),
        setting("config.vision_config.layer_norm_eps", 1e-3),
        setting("config.text_config.rms_norm_eps", 1e-3),
        setting("config.text_config.logit_scale", 0.5),
        in_dict("config.text_config.rope_parameters", "rope_theta", 5e5),
        setting("config.text_config._attn_implementation", "eager"),
        setting("config.vision_config._attn_implementation", "eager"),
        setting("config.quantization_config", {"bits": 4}),
        setting("model.language_model.norm.variance_epsilon", 1e-2),
        setting("model.multi_modal_projector.act", torch.nn.ReLU()),
        setting("model.language_model.rotary_emb.attention_scaling", 2.0),
        pytest.param(lambda model: model.model.language_model.rotary_emb.inv_freq.mul_(2), id="a buffer not saved"),
        pytest.param(lambda model: model.lm_head.weight.data[0].add_(1), id="a weight"),
        pytest.param(lambda model: model.to(torch.bfloat16), id="dtype"),
    ],
)
def test_a_model_that_computes_something_else_has_another_fingerprint(change: Change) -> None:
    model = tiny_llava()
    before = model_fingerprint(model)
    change(model)
    assert model_fingerprint(model) != before


def test_a_model_keeps_its_fingerprint_through_names_modes_use_saving_and_loading(tmp_path: Path) -> None:
    model = tiny_llava()
    before = model_fingerprint(model)
    model.config._name_or_path = model.name_or_path = "elsewhere"
    model.config.use_cache = model.config.text_config.use_cache = False
    model.gradient_checkpointing_enable()
    model.train()
    pixels = torch.zeros(1, 3, 32, 32)
    model(input_ids=torch.tensor([[1, *[4] * 16, 7]]), pixel_values=pixels)
    assert model_fingerprint(model) == before
    model.eval().save_pretrained(tmp_path)
    assert model_fingerprint(LlavaForConditionalGeneration.from_pretrained(tmp_path)) == before


def adapted(**given: Any) -> Any:
    return get_peft_model(tiny_llava(), LoraConfig(r=2, target_modules=r".*language_model.*(q_proj|v_proj)", **given))


def test_adapters_of_equal_weights_and_another_scaling_are_told_apart() -> None:
    fingerprints = {
        settings_fingerprint(model.get_base_model())
        for model in (adapted(lora_alpha=8), adapted(lora_alpha=16), adapted(use_rslora=True))
    }
    by_hand = adapted(lora_alpha=8)
    by_hand.get_base_model().model.language_model.layers[0].self_attn.q_proj.scaling["default"] = 1.0
    assert len(fingerprints | {settings_fingerprint(by_hand.get_base_model())}) == 4
    assert adapter_settings(adapted(lora_alpha=16))["default"]["lora_alpha"] == 16


def test_an_adapter_that_is_off_is_told_from_one_that_is_on() -> None:
    model = adapted()
    before = settings_fingerprint(model.get_base_model())
    model.base_model.disable_adapter_layers()
    assert settings_fingerprint(model.get_base_model()) != before


def test_the_frozen_base_of_an_adapter_is_the_model_alone() -> None:
    assert model_fingerprint(adapted().get_base_model(), adapters=["default"]) == model_fingerprint(tiny_llava())


def test_what_is_left_out_does_not_count() -> None:
    one, other = tiny_llava(), tiny_llava()
    other.model.language_model.norm.variance_epsilon = 1e-2
    other.lm_head.weight.data.add_(1)
    left_out = [[model.get_decoder(), model.lm_head] for model in (one, other)]
    assert model_fingerprint(one, left_out[0]) == model_fingerprint(other, left_out[1])


@pytest.mark.parametrize(
    "change",
    [
        setting("image_processor.rescale_factor", 0.5),
        setting("image_processor.image_mean", [0.5, 0.5, 0.5]),
        setting("image_processor.do_convert_rgb", False),
        setting("patch_size", 16),
        setting("vision_feature_select_strategy", "default"),
        setting("num_additional_image_tokens", 1),
    ],
)
def test_a_processor_that_prepares_something_else_has_another_fingerprint(change: Change) -> None:
    processor = tiny_processor()
    before = processor_fingerprint(processor)
    assert processor_fingerprint(tiny_processor()) == before
    change(processor)
    assert processor_fingerprint(processor) != before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda one: one.add_tokens(["purple"]), id="a token more"),
        pytest.param(lambda one: one.add_special_tokens({"eos_token": "<pad>"}), id="another end"),
        pytest.param(
            lambda one: setattr(one.backend_tokenizer, "normalizer", normalizers.Lowercase()), id="normalising"
        ),
    ],
)
def test_a_tokenizer_that_reads_otherwise_has_another_fingerprint(change: Change) -> None:
    tokenizer = tiny_processor().tokenizer
    before = tokenizer_fingerprint(tokenizer)
    tokenizer(["what is this", "a"], padding=True, truncation=True, max_length=2)
    tokenizer.padding_side = "left"
    assert tokenizer_fingerprint(tokenizer) == before == tokenizer_fingerprint(copy.deepcopy(tokenizer))
    change(tokenizer)
    assert tokenizer_fingerprint(tokenizer) != before


def test_another_version_of_our_own_code_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    rule = tmp_path / "data" / "images.py"
    rule.write_text("WHITE = 0\n")
    monkeypatch.setattr(file_signatures, "_PACKAGE", tmp_path)
    keys = []
    for text in ("WHITE = 0\n", "WHITE = 255\n"):
        rule.write_text(text)
        file_signatures.encoding_version.cache_clear()
        keys.append(stored_under("weights"))
    file_signatures.encoding_version.cache_clear()
    assert keys[0] != keys[1]


def test_hashing_settings_takes_milliseconds() -> None:
    model, start = tiny_llava(), time.perf_counter()
    settings_fingerprint(model)
    assert time.perf_counter() - start < 0.5


class Quantised(torch.Tensor):
    """A weight of integers and scales that, like torchao's, knows no operation as one tensor."""

    @staticmethod
    def __new__(cls, integers: torch.Tensor, scales: torch.Tensor) -> Quantised:
        return torch.Tensor._make_wrapper_subclass(cls, integers.shape, dtype=scales.dtype)

    def __init__(self, integers: torch.Tensor, scales: torch.Tensor) -> None:
        self.integers, self.scales = integers, scales

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["integers", "scales"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], *_: Any) -> Quantised:
        return Quantised(**inner)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        if func is torch.ops.aten.detach.default:
            return args[0]
        raise NotImplementedError(f"Quantised: {func}")


def quantised(integers: int, scale: float) -> torch.nn.Module:
    module = torch.nn.Module()
    weight = Quantised(torch.full((4, 4), integers, dtype=torch.int8), torch.full((4,), scale))
    module.register_buffer("weight", weight)
    return module


def test_weights_that_are_held_in_parts_are_known_by_each_of_them() -> None:
    keys = {weights_fingerprint(quantised(*parts)) for parts in ((1, 1.0), (2, 1.0), (1, 2.0))}
    assert len(keys) == 3
    assert weights_fingerprint(quantised(1, 1.0)) in keys


def test_a_quantised_weight_left_out_takes_no_other_along() -> None:
    both = torch.nn.ModuleDict({"tower": quantised(1, 1.0), "decoder": quantised(2, 1.0)})
    alike = torch.nn.ModuleDict({"tower": quantised(3, 1.0), "decoder": quantised(2, 1.0)})
    other = torch.nn.ModuleDict({"tower": quantised(1, 1.0), "decoder": quantised(4, 1.0)})
    keys = [weights_fingerprint(whole, [whole["tower"]]) for whole in (both, alike, other)]
    assert keys[0] == keys[1] != keys[2]


def test_a_change_of_a_part_of_a_quantised_weight_is_seen() -> None:
    model = tiny_llava()
    model.extra = quantised(1, 1.0)
    watch = Unchanged(model)
    assert watch.reason(thorough=True) == ""
    model.extra.weight.scales.mul_(2)
    assert "extra.weight" in watch.reason(thorough=True)
